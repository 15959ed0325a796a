//! Who may do what: anybody, who knows a password, or who has a token for the repository.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::http::{Answer, Request, decoded};
use crate::store::Store;

/// How the registry knows its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Anybody may do anything.
    None,
    /// With every request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Tokens, for a password or a refresh token.
    Token {
        /// The user.
        user: String,
        /// The password; also what is taken as a refresh token.
        password: String,
        /// How long a token lives.
        life: Duration,
        /// How long it is said to live.
        announced: Duration,
    },
}

impl Auth {
    /// Basic authentication, `user` and `secret`.
    pub fn basic() -> Self {
        Self::Basic {
            user: "user".to_owned(),
            password: "secret".to_owned(),
        }
    }

    /// Token authentication, `user` and `secret`.
    pub fn token(life: Duration) -> Self {
        Self::Token {
            user: "user".to_owned(),
            password: "secret".to_owned(),
            life,
            announced: life,
        }
    }

    /// The answer to who may not do it; `None` if it is allowed.
    pub(crate) fn refusal(
        &self,
        request: &Request,
        needed: &[String],
        store: &Store,
        realm: &str,
    ) -> Option<Answer> {
        let shown = request.header("authorization");
        match self {
            Self::None => None,
            Self::Basic { user, password } => (shown != Some(&basic(user, password)))
                .then(|| unauthorized("Basic realm=\"test\"".to_owned())),
            Self::Token { .. } => {
                let token = shown.and_then(|shown| shown.strip_prefix("Bearer "));
                let granted = token
                    .and_then(|token| store.tokens.get(token))
                    .filter(|(_, until)| Instant::now() < *until);
                let has = |scope: &String| granted.is_some_and(|(scopes, _)| allows(scopes, scope));
                (!(granted.is_some() && needed.iter().all(has))).then(|| {
                    unauthorized(format!(
                        "Bearer realm=\"{realm}/token\",service=\"test\",scope=\"{}\"",
                        needed.join(" ")
                    ))
                })
            }
        }
    }

    /// The token server.
    pub(crate) fn token_answer(&self, request: &Request, store: &mut Store) -> Answer {
        let Self::Token {
            user,
            password,
            life,
            announced,
        } = self
        else {
            return Answer::new(404);
        };
        let (is_known, scopes) = if request.method == "POST" {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let field = |name: &str| {
                let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
                pairs
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| decoded(value))
            };
            let scopes = field("scope").unwrap_or_default();
            let scopes = scopes.split(' ').map(str::to_owned).collect();
            (field("refresh_token").as_ref() == Some(password), scopes)
        } else {
            let shown = request.header("authorization");
            (
                shown == Some(&basic(user, password)),
                request.queried("scope"),
            )
        };
        if !is_known {
            return Answer::error(401, "UNAUTHORIZED", "incorrect username or password");
        }
        let token = format!("token-{}", store.number());
        store
            .tokens
            .insert(token.clone(), (scopes, Instant::now() + *life));
        let body = serde_json::json!({"token": token, "expires_in": announced.as_secs()});
        Answer::new(200).body(body.to_string().into_bytes())
    }
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// `repository:a:pull,push` allows `repository:a:pull`.
fn allows(granted: &[String], needed: &str) -> bool {
    let Some((name, actions)) = needed.rsplit_once(':') else {
        return false;
    };
    let of = |scope: &String| {
        scope
            .rsplit_once(':')
            .filter(|(granted, _)| *granted == name)
            .is_some_and(|(_, have)| {
                let have: Vec<&str> = have.split(',').collect();
                actions.split(',').all(|action| have.contains(&action))
            })
    };
    granted.iter().any(of)
}

fn unauthorized(challenge: String) -> Answer {
    Answer::error(401, "UNAUTHORIZED", "authentication required")
        .header("WWW-Authenticate", challenge)
}
