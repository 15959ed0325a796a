//! What a registry wants to see of us: nothing, user and password, or a token for the scopes at hand.
//!
//! Nothing is sent before the registry has asked for it. Tokens are kept by their scopes, renewed at four fifths of their life,
//! and thrown away when the registry refuses them; whoever needs one while it is being fetched waits for that one.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tokio::sync::Mutex;

use crate::{
    asked::Asked,
    challenge::{Bearer, Challenge},
    credentials::CredentialsError,
    error::{RegistryError, Unauthorized},
    failure::Failure,
    host::Host,
    login::Login,
    request::Http,
    scopes::Scopes,
    token::{self, Token, TokenRequest},
    words::Words,
};

/// What is known of a registry's wishes.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wanted: Wanted,
    tokens: Vec<(Scopes, Token)>,
    /// By repository: a file may have a login for a part of a registry.
    logins: BTreeMap<String, Option<Login>>,
}

#[derive(Debug, Default, Clone)]
enum Wanted {
    /// Nothing so far.
    #[default]
    Nothing,
    Basic,
    Bearer(Arc<Bearer>),
}

/// What a request needs, and what is asked for along with it to save another token.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) repository: String,
    pub(crate) needed: Scopes,
    pub(crate) wished: Scopes,
}

impl Access {
    pub(crate) fn new(repository: &str, needed: Scopes) -> Self {
        Self {
            repository: repository.to_owned(),
            wished: needed.clone(),
            needed,
        }
    }

    /// With more in mind for later requests.
    #[must_use]
    pub(crate) fn wishing(&self, wished: &Scopes) -> Self {
        Self {
            wished: self.needed.union(wished),
            ..self.clone()
        }
    }
}

/// A registry's answer to missing or refused credentials.
pub(crate) struct Refusal {
    pub(crate) asked: Asked,
    pub(crate) challenges: Vec<Challenge>,
    pub(crate) words: Words,
    /// What was sent.
    pub(crate) used: Option<String>,
}

impl Http {
    /// The `Authorization` header to send to a registry.
    pub(crate) async fn authorization(
        &self,
        host: &Host,
        access: &Access,
    ) -> Result<Option<String>, Failure> {
        let mut state = host.auth.state.lock().await;
        match state.wanted.clone() {
            Wanted::Nothing => Ok(None),
            Wanted::Basic => {
                let login = self.login(&mut state, host, &access.repository).await?;
                Ok(login.and_then(|login| match login {
                    // A registry that asks for Basic may still take the token that somebody gave for it.
                    Login::Bearer(token) => Some(format!("Bearer {token}")),
                    login => login.basic_header(),
                }))
            }
            Wanted::Bearer(bearer) => {
                let login = self.login(&mut state, host, &access.repository).await?;
                if let Some(Login::Bearer(token)) = login {
                    return Ok(Some(format!("Bearer {token}")));
                }
                let now = Instant::now();
                let kept = state
                    .tokens
                    .iter()
                    .find(|(scopes, token)| scopes.cover(&access.needed) && token.is_fresh(now));
                if let Some((_, token)) = kept {
                    return Ok(Some(token.header()));
                }
                let (scopes, token) = self.fetch_token(host, &bearer, login, access).await?;
                let header = token.header();
                let new_login = token.refresh.clone().map(Login::Identity);
                if let Some(login) = new_login {
                    // Some token servers let a refresh token be used once.
                    state.logins.insert(access.repository.clone(), Some(login));
                }
                state.tokens.retain(|(old, _)| !scopes.cover(old));
                state.tokens.push((scopes, token));
                Ok(Some(header))
            }
        }
    }

    /// What to do about a 401: `Ok` if another attempt has something else to show.
    pub(crate) async fn learn(
        &self,
        host: &Host,
        access: &mut Access,
        refusal: Refusal,
    ) -> Result<(), Failure> {
        let mut state = host.auth.state.lock().await;
        let bearer = refusal
            .challenges
            .iter()
            .find_map(|challenge| match challenge {
                Challenge::Bearer(bearer) => Some(bearer),
                Challenge::Basic => None,
            });
        let basic = refusal.challenges.contains(&Challenge::Basic);
        match &refusal.used {
            // What was refused is not shown again, whoever fetched it.
            Some(header) => state.tokens.retain(|(_, token)| token.header() != *header),
            None if bearer.is_none() && !basic => {
                return Err(Failure::Final(self.unauthorized(host, refusal, false)));
            }
            None => {}
        }
        if let Some(bearer) = bearer {
            if let Some(scope) = &bearer.scope {
                access.needed = access.needed.clone().and_as_written(scope);
            }
            state.wanted = Wanted::Bearer(Arc::new(bearer.clone()));
            return Ok(());
        }
        let login = self.login(&mut state, host, &access.repository).await?;
        if login.is_none() && (basic || matches!(state.wanted, Wanted::Basic)) {
            return Err(Failure::Final(self.unauthorized(host, refusal, false)));
        }
        if basic {
            state.wanted = Wanted::Basic;
        }
        Ok(())
    }

    pub(crate) async fn refused(&self, host: &Host, access: &Access, refusal: Refusal) -> Failure {
        let mut state = host.auth.state.lock().await;
        match self.login(&mut state, host, &access.repository).await {
            Ok(login) => Failure::Final(self.unauthorized(host, refusal, login.is_some())),
            Err(failure) => failure,
        }
    }

    fn unauthorized(&self, host: &Host, refusal: Refusal, had: bool) -> RegistryError {
        RegistryError::Unauthorized(Box::new(Unauthorized {
            asked: refusal.asked,
            registry: host.registry.clone(),
            words: refusal.words,
            had_credentials: had,
            looked_at: self.credentials.looked_at().to_vec(),
        }))
    }

    /// A token for everything wished for; if that is refused, for what is needed.
    async fn fetch_token(
        &self,
        host: &Host,
        bearer: &Bearer,
        login: Option<Login>,
        access: &Access,
    ) -> Result<(Scopes, Token), Failure> {
        let had = login.is_some();
        let ask = async |scopes: &Scopes| {
            let request = TokenRequest {
                bearer,
                login: login.as_ref(),
                scopes,
            };
            token::fetch(self, host, &request).await
        };
        let wished = access.needed.union(&access.wished);
        let mut refusal = match ask(&wished).await? {
            Ok(token) => return Ok((wished, token)),
            Err(refusal) => refusal,
        };
        if wished != access.needed {
            refusal = match ask(&access.needed).await? {
                Ok(token) => return Ok((access.needed.clone(), token)),
                Err(refusal) => refusal,
            };
        }
        Err(Failure::Final(self.unauthorized(host, refusal, had)))
    }

    async fn login(
        &self,
        state: &mut State,
        host: &Host,
        repository: &str,
    ) -> Result<Option<Login>, Failure> {
        if let Some(known) = state.logins.get(repository) {
            return Ok(known.clone());
        }
        let credentials = Arc::clone(&self.credentials);
        let (registry, name) = (host.registry.clone(), repository.to_owned());
        // A helper is a program that may take seconds.
        let found = tokio::task::spawn_blocking(move || credentials.find(&registry, &name)).await;
        let login = match found {
            Ok(found) => found.map_err(|error: CredentialsError| Failure::Final(error.into()))?,
            Err(stopped) => {
                return Err(Failure::transient(
                    Asked::of_text(&host.registry),
                    format!("looking for credentials stopped: {stopped}"),
                ));
            }
        };
        state.logins.insert(repository.to_owned(), login.clone());
        Ok(login)
    }
}
