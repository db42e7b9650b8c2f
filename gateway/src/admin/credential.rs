//! Who asks the private listener. A credential is known by its digest: what could be read out of memory opens nothing, and
//! the time that a comparison takes says nothing of the credential.

use std::fmt;
use std::net::SocketAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};

use super::AdminState;
use super::audit::{self, About, By};
use super::refusal::Refusal;
use crate::config;

/// The credentials in force. They are part of the snapshot, so they follow the config.
#[derive(Debug)]
pub(crate) struct Credentials {
    operator: Option<Digest>,
}

impl Credentials {
    pub(crate) fn of(admin: &config::Admin) -> Self {
        Self { operator: admin.token.as_ref().map(Digest::of) }
    }

    /// That the operator sent these headers.
    fn operator(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let operator = self.operator.as_ref().ok_or(Refusal::OperatorTokenNotSet)?;
        if operator.is_of(bearer(headers)?) { Ok(()) } else { Err(Refusal::CredentialWrong) }
    }
}

/// Lets operators through, and nobody else.
pub(super) async fn operators_only(
    State(state): State<AdminState>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match state.live.snapshot().credentials.operator(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            // Whoever guesses is seen. Who sends nothing does not guess.
            if refusal == Refusal::CredentialWrong {
                audit::note(By { name: "-", address: from }, "use", &About::default(), refusal.code());
            }
            refusal.into_response()
        }
    }
}

/// The one credential of a request (RFC 6750 §2.1). Two are none: who looks at the first and who looks at the last would
/// see two callers.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::CredentialMissing)?.as_bytes();
    if values.next().is_some() {
        return Err(Refusal::CredentialWrong);
    }
    match value.split_at_checked(b"Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(token.trim_ascii()),
        _ => Err(Refusal::CredentialMissing),
    }
}

/// What is kept of a credential.
pub(super) struct Digest(digest::Digest);

impl Digest {
    pub(super) fn of(token: &SecretString) -> Self {
        Self(digest::digest(&SHA256, token.expose_secret().as_bytes()))
    }

    pub(super) fn is_of(&self, token: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_ref(), digest::digest(&SHA256, token).as_ref()).is_ok()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "hS3nV9kQ2wXz7LcB5mRt8YpJ4gDf6aEo";

    fn asked(lines: &[&str]) -> Result<(), Refusal> {
        let credentials = Credentials { operator: Some(Digest::of(&TOKEN.into())) };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        credentials.operator(&headers)
    }

    #[test]
    fn the_operator_is_who_sends_the_whole_token_once() {
        let bearer = format!("Bearer {TOKEN}");
        for good in [bearer.clone(), format!("bearer {TOKEN}"), format!("BEARER  {TOKEN}")] {
            assert_eq!(asked(&[&good]), Ok(()), "{good}");
        }
        for wrong in [
            "Bearer ",
            "Bearer x",
            &bearer[..bearer.len() - 1],
            &format!("{bearer}x"),
            &bearer.to_lowercase(),
        ] {
            assert_eq!(asked(&[wrong]), Err(Refusal::CredentialWrong), "{wrong}");
        }
        for none in ["", "Bearer", TOKEN, &format!("Basic {TOKEN}"), &format!("Bearer{TOKEN}")] {
            assert_eq!(asked(&[none]), Err(Refusal::CredentialMissing), "{none}");
        }
        assert_eq!(asked(&[]), Err(Refusal::CredentialMissing));
        assert_eq!(asked(&[&bearer, &bearer]), Err(Refusal::CredentialWrong));
        assert_eq!(asked(&["Basic eDp5", &bearer]), Err(Refusal::CredentialWrong));
    }

    #[test]
    fn without_a_token_nobody_is_the_operator() {
        let nobody = Credentials { operator: None };
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer ".parse().unwrap());
        assert_eq!(nobody.operator(&headers), Err(Refusal::OperatorTokenNotSet));
    }

    #[test]
    fn what_is_kept_of_a_credential_prints_nothing_of_it() {
        let printed = format!("{:?}", Credentials { operator: Some(Digest::of(&TOKEN.into())) });
        assert_eq!(printed, "Credentials { operator: Some(Digest(…)) }");
    }
}
