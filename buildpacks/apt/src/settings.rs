//! What the platform says about downloads, and whether an earlier choice of packages still counts.

use buildpack_kit::Variables;
use buildpack_kit::network::{NetworkSettings, NetworkSettingsError};

/// Whether what an earlier build resolved is resolved anew.
const REFRESH: &str = "LONGSHORE_REFRESH";

/// The variables, read.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) network: NetworkSettings,
    pub(crate) refresh: bool,
}

impl Settings {
    /// The platform's variables win over the lifecycle's, as for every buildpack.
    pub(crate) fn new(
        lifecycle: &Variables,
        platform: &Variables,
    ) -> Result<Self, NetworkSettingsError> {
        Ok(Self {
            network: NetworkSettings::new(lifecycle, platform)?,
            refresh: platform.is_on(REFRESH) || lifecycle.is_on(REFRESH),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_refresh_of_either() {
        let on: Variables = [(REFRESH, "1")].into_iter().collect();
        let none = Variables::default();
        for (lifecycle, platform, expected) in [
            (&on, &none, true),
            (&none, &on, true),
            (&none, &none, false),
        ] {
            let settings = Settings::new(lifecycle, platform).unwrap();
            assert_eq!(settings.refresh, expected);
        }
    }
}
