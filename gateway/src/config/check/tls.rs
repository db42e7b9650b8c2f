//! `[tls]`: listeners and certificates. What is wrong with a file is said by its name, never by its content.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::zeroize::Zeroizing;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::Context;
use super::pattern;
use super::serving::listeners;
use crate::config::checked::{Certificate, HostPattern, Server, Tls};
use crate::config::hidden::looks_secret;
use crate::config::places::item;
use crate::config::secrets::SECRET_BYTES_MAX;
use crate::config::written;

/// What is wrong with a file, and what to do.
type Wrong = (String, &'static str);

pub(super) fn tls(written: &written::Tls, server: &Server, cx: &mut Context<'_>) -> Tls {
    const LIST: &str = "tls.listen";
    let listen = listeners(LIST, &written.listen, &server.listen, cx);
    for (index, text) in written.listen.iter().enumerate() {
        if text.ends_with(":0") {
            // The port is how a connection is known to speak TLS.
            cx.wrong(
                &item(LIST, index),
                "a listener for TLS needs a port of its own",
                "write \"0.0.0.0:8443\"",
            );
        }
    }
    match (written.listen.is_empty(), written.certificate.is_empty()) {
        (false, true) => {
            let help = "add `[[tls.certificate]]` with `chain` and `key`";
            cx.missing("tls.certificate", "a listener for TLS needs a certificate", help);
        }
        (true, false) => {
            cx.warn("tls.certificate", "`tls.listen` is empty: nobody is shown this certificate")
        }
        _ => {}
    }
    Tls { listen, certificates: certificates(&written.certificate, cx) }
}

fn certificates(written: &[written::Certificate], cx: &mut Context<'_>) -> Vec<Certificate> {
    let mut certificates: Vec<(usize, Certificate)> = Vec::new();
    for (index, written) in written.iter().enumerate() {
        let Some(certificate) = certificate(&item("tls.certificate", index), written, cx) else { continue };
        let taken =
            certificates.iter().find_map(|(other, earlier)| Some((*other, shared(earlier, &certificate)?)));
        if let Some((other, name)) = taken {
            let other = format!("{}.chain", item("tls.certificate", other));
            cx.clash(
                &format!("{}.chain", item("tls.certificate", index)),
                format!("an earlier certificate is for {name}, too"),
                (&other, "the other one"),
                "keep one certificate for each name",
            );
        }
        certificates.push((index, certificate));
    }
    certificates.into_iter().map(|(_, certificate)| certificate).collect()
}

/// A name that both are for.
fn shared(one: &Certificate, other: &Certificate) -> Option<String> {
    let name = one.names.iter().find(|name| other.names.contains(name)).map(HostPattern::to_string);
    name.or_else(|| Some(one.addresses.iter().find(|address| other.addresses.contains(address))?.to_string()))
}

fn certificate(path: &str, written: &written::Certificate, cx: &mut Context<'_>) -> Option<Certificate> {
    let (chain_path, key_path) = (format!("{path}.chain"), format!("{path}.key"));
    let chain = named(&chain_path, written.chain.as_deref(), cx);
    let key = named(&key_path, written.key.as_deref(), cx);
    let chain = chain.and_then(|file| noted(&chain_path, read_chain(file, cx), cx));
    let key = key.and_then(|file| noted(&key_path, read_key(&key_path, file, cx), cx));
    let chain = chain?;
    let (names, addresses) = noted(&chain_path, subjects(&chain_path, &chain, cx), cx)?;
    let fitting = CertifiedKey::from_der(chain, key?, &default_provider()).map_err(|error| {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => "this key does not belong to the certificate",
            _ => "this key cannot be used: RSA from 2048 bits, P-256, P-384 or Ed25519 can",
        };
        (why.to_owned(), "name the key that the certificate was requested with")
    });
    let key = Arc::new(noted(&key_path, fitting, cx)?);
    Some(Certificate { names, addresses, key })
}

fn named<'a>(path: &str, file: Option<&'a str>, cx: &mut Context<'_>) -> Option<&'a str> {
    match file {
        None => cx.missing(path, "the file is not named", "a certificate needs `chain` and `key`"),
        Some(file) if looks_secret(file) => {
            cx.wrong(path, "takes the path of a file, not its content", "write \"/etc/wxgate/file.pem\"");
        }
        Some(file) => return Some(file),
    }
    None
}

fn noted<T>(path: &str, result: Result<T, Wrong>, cx: &mut Context<'_>) -> Option<T> {
    result.map_err(|(message, help)| cx.wrong(path, message, help)).ok()
}

/// The bytes of a file and its permission bits.
pub(super) fn read(file: &str, cx: &Context<'_>) -> Result<(Zeroizing<Vec<u8>>, u32), Wrong> {
    let full = cx.resolve_file(file);
    let read = cx.secrets.file(&full).map_err(|error| {
        let help = "the file must exist and be readable by the user that runs wxgate";
        (format!("cannot read {}: {error}", full.display()), help)
    })?;
    if read.bytes.len() as u64 > SECRET_BYTES_MAX {
        let message = format!("{} is larger than {} KiB", full.display(), SECRET_BYTES_MAX >> 10);
        return Err((message, "name the file that holds this alone"));
    }
    Ok((Zeroizing::new(read.bytes), read.mode))
}

fn read_chain(file: &str, cx: &Context<'_>) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    const HELP: &str = "write the certificate and those between it and its root as PEM, the own one first";
    let (bytes, _) = read(file, cx)?;
    pem_certificates(file, &bytes, HELP, cx)
}

/// The certificates, at least one, that stand in `file` as PEM.
pub(super) fn pem_certificates(
    file: &str,
    bytes: &[u8],
    help: &'static str,
    cx: &Context<'_>,
) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let shown = cx.resolve_file(file);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = chain.map_err(|_| (format!("{} is not PEM", shown.display()), help))?;
    if chain.is_empty() {
        return Err((format!("{} holds no certificate", shown.display()), help));
    }
    Ok(chain)
}

fn read_key(path: &str, file: &str, cx: &mut Context<'_>) -> Result<PrivateKeyDer<'static>, Wrong> {
    let (bytes, mode) = read(file, cx)?;
    let shown = cx.resolve_file(file);
    if mode & 0o077 != 0 {
        let shown = shown.display();
        cx.warn(path, format!("{shown} can be read by other users (mode {mode:04o}); run chmod 600"));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes);
    key.map_err(|_| {
        let help = "write the private key as PEM, not encrypted: PKCS#8, PKCS#1 or SEC1";
        (format!("{} holds no private key", shown.display()), help)
    })
}

/// Who the certificate is for.
fn subjects(
    path: &str,
    chain: &[CertificateDer<'_>],
    cx: &mut Context<'_>,
) -> Result<(Vec<HostPattern>, Vec<IpAddr>), Wrong> {
    const NOT_ONE: &str = "the first block is no X.509 certificate";
    const HELP: &str = "name the chain that the certificate authority issued";
    let wrong = |message: &str| (message.to_owned(), HELP);
    let own = chain.first().ok_or_else(|| wrong(NOT_ONE))?;
    let (_, parsed) = X509Certificate::from_der(own).map_err(|_| wrong(NOT_ONE))?;
    let validity = parsed.validity();
    if !validity.is_valid() {
        cx.warn(path, format!("valid only from {} to {}", validity.not_before, validity.not_after));
    }
    let alternatives = parsed.subject_alternative_name().map_err(|_| wrong(NOT_ONE))?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for name in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => match pattern::host(name) {
                Ok(name) => names.push(name),
                Err(_) => cx.warn(path, "a DNS name in this certificate is none: it is not served"),
            },
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    if names.is_empty() && addresses.is_empty() {
        return Err(wrong("the certificate names no host: it has no subject alternative name"));
    }
    Ok((names, addresses))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .map(|address| address.to_canonical())
        .ok()
}
