//! Security that would not be used as it is meant.

use super::{By, FILES, For, KafkaConfig, Said};

const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

impl KafkaConfig {
    /// Security that would not be used as it is meant. Each thing is called as it was said; what is missing, as it would be said by
    /// who has said the rest.
    pub(super) fn security(&self) -> Vec<String> {
        let mut wrong = match self.protocol().starts_with("SASL_") {
            true => self.login(),
            false => self.unused(&["sasl.mechanism", "sasl.username", "sasl.password"], "SASL_SSL (or SASL_PLAINTEXT)"),
        };
        if !self.protocol().ends_with("SSL") {
            wrong.extend(self.unused(FILES, "SSL or SASL_SSL"));
        }
        wrong.extend(self.half_a_certificate("ssl.certificate.location", "ssl.key.location"));
        wrong.extend(self.half_a_certificate("ssl.key.location", "ssl.certificate.location"));
        wrong
    }

    /// What is said of a property, and not empty.
    pub(super) fn told(&self, name: &str) -> Option<&Said> {
        self.properties.of(For::All, name).filter(|said| !said.value.is_empty())
    }

    /// The first of these that is said, where none would be used.
    fn unused(&self, names: &[&str], protocol: &str) -> Vec<String> {
        let unused = names.iter().find_map(|name| self.told(name));
        let text = |unused: &Said| {
            let how = self.told("security.protocol");
            let how = how.map_or_else(|| unused.by.would_call("security.protocol"), Said::called);
            format!("{} would not be used: set {how} to {protocol}", unused.called())
        };
        unused.map(text).into_iter().collect()
    }

    fn half_a_certificate(&self, half: &str, other: &str) -> Option<String> {
        let said = self.told(half)?;
        let is_whole = [other, "ssl.key.pem", "ssl.certificate.pem"].iter().any(|name| self.told(name).is_some());
        (!is_whole).then(|| format!("{} needs {}", said.called(), said.by.would_call(other)))
    }

    /// A protocol with a login, and what a login needs.
    fn login(&self) -> Vec<String> {
        let Some(mechanism) = self.told("sasl.mechanism") else {
            let protocol = self.call(For::All, "security.protocol");
            let by = self.told("security.protocol").map_or(&By::Code, |said| &said.by);
            let how = by.would_call("sasl.mechanism");
            return vec![format!(
                "{protocol} wants a login, and by what is not said: set {how} to one of {}",
                MECHANISMS.join(", ")
            )];
        };
        let is = mechanism.value.trim().to_ascii_uppercase();
        let mut wrong = Vec::new();
        match &*is {
            "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" if self.tokens.is_none() => {
                wrong.extend(["sasl.username", "sasl.password"].iter().filter_map(|name| self.absent(name, mechanism)));
            }
            "OAUTHBEARER" if self.has_no_tokens() => wrong.push(format!(
                "{}: OAUTHBEARER needs KafkaConfig::token_provider; tests may set {}",
                mechanism.called(),
                mechanism.by.would_call("enable.sasl.oauthbearer.unsecure.jwt")
            )),
            _ => {}
        }
        if self.tokens.is_some() && is != "OAUTHBEARER" {
            // What is no mechanism may be a password in the wrong place.
            let is = MECHANISMS.iter().find(|known| **known == is).unwrap_or(&"another mechanism");
            wrong.push(format!(
                "KafkaConfig::token_provider logs in with OAUTHBEARER, and {} says {is}: only one of them can be",
                mechanism.called()
            ));
        }
        wrong
    }

    fn absent(&self, name: &str, mechanism: &Said) -> Option<String> {
        let mechanism_called = mechanism.called();
        match self.properties.of(For::All, name) {
            None => Some(format!("{mechanism_called} needs {}", mechanism.by.would_call(name))),
            Some(said) if said.value.is_empty() => {
                Some(format!("{mechanism_called} needs {}, which is empty", said.called()))
            }
            Some(_) => None,
        }
    }

    fn has_no_tokens(&self) -> bool {
        let is =
            |name, value: &str| self.said(For::All, name).is_some_and(|said| said.trim().eq_ignore_ascii_case(value));
        let by_itself = is("sasl.oauthbearer.method", "oidc") || is("enable.sasl.oauthbearer.unsecure.jwt", "true");
        self.tokens.is_none() && !by_itself
    }
}

#[cfg(test)]
mod tests;
