//! Certificates: which are served, and what is said of those that cannot be. Nothing that is said holds any of a file.

use super::{Vault, certificate, completed, is_wrong_as_marked, load_with, told};
use crate::config::{Checked, HostPattern, Mode};

/// With `chain` and `key` as the only certificate.
fn with_files(chain: &str, key: &str) -> Vault {
    Vault::full().with_file("/etc/wxgate/chain.pem", chain, 0o644).with_file(
        "/etc/wxgate/key.pem",
        key,
        0o600,
    )
}

fn loaded(vault: &Vault) -> Result<Checked, Vec<String>> {
    let text =
        "[tls]\nlisten = ['127.0.0.1:8443']\ncertificate = [{ chain = 'chain.pem', key = 'key.pem' }]\n";
    load_with(&completed(text), Mode::Normal, vault).map_err(|mistakes| {
        let shown = mistakes.to_string();
        assert!(!shown.contains("BEGIN") && !shown.contains("MC4CAQ"), "{shown}");
        told(&mistakes)
    })
}

#[test]
fn a_certificate_is_for_the_names_that_stand_in_it() {
    let (chain, key) = certificate(&["Shop.Example.com", "*.example.com", "10.0.0.7"]);
    let checked = loaded(&with_files(&chain, &key)).unwrap();
    let certificate = &checked.tls.certificates[0];
    let (shop, all) =
        (HostPattern::Exact("shop.example.com".into()), HostPattern::Wildcard("example.com".into()));
    assert_eq!(certificate.names, [shop, all]);
    assert_eq!(certificate.addresses, ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn a_certificate_that_cannot_be_served_is_a_mistake() {
    let (chain, key) = certificate(&["shop.example.com"]);
    let (_, other) = certificate(&["shop.example.com"]);
    let (nameless, its_key) = certificate(&[]);
    let broken = chain.replace("MII", "M\u{1}I");
    for (chain, key, why) in [
        (&*chain, &*other, "tls.certificate[0].key: this key does not belong to the certificate"),
        (&chain, "", "tls.certificate[0].key: /etc/wxgate/key.pem holds no private key"),
        (&chain, &chain, "tls.certificate[0].key: /etc/wxgate/key.pem holds no private key"),
        ("", &key, "tls.certificate[0].chain: /etc/wxgate/chain.pem holds no certificate"),
        (&key, &key, "tls.certificate[0].chain: /etc/wxgate/chain.pem holds no certificate"),
        (&broken, &key, "tls.certificate[0].chain: /etc/wxgate/chain.pem is not PEM"),
        (&nameless, &its_key, "tls.certificate[0].chain: the certificate names no host"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "no X.509 certificate"),
    ] {
        let told = loaded(&with_files(chain, key)).unwrap_err();
        assert!(matches!(&told[..], [one] if one.contains(why)), "{told:?} should say {why}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let told = loaded(&Vault::full()).unwrap_err();
    assert_eq!(told.len(), 2, "{told:?}");
    for (told, said) in told.iter().zip(["chain: cannot read /etc/wxgate/chain.pem", "key: cannot read "]) {
        assert!(told.contains(&format!("tls.certificate[0].{said}")), "{told}");
    }
}

#[test]
fn a_listener_for_tls_has_a_port_and_a_certificate() {
    is_wrong_as_marked(
        "[tls] # <- tls.certificate: a listener for TLS needs a certificate\nlisten = ['0.0.0.0:8443']\n",
    );
    is_wrong_as_marked("[server]\nlisten = [] # <- server.listen: at least one address is needed\n");
    is_wrong_as_marked(
        "[server]\nlisten = ['0.0.0.0:8443']\n[tls] # <- tls.certificate: a listener\n\
         listen = ['127.0.0.1:8443', '0.0.0.0:0'] # <- tls.listen[0]: this port is already taken & \
         tls.listen[1]: a listener for TLS needs a port of its own\n",
    );
    is_wrong_as_marked(
        "[tls]\ncertificate = [{ chain = 'a.pem' }] # <- tls.certificate[0].key: the file is not named & \
         tls.certificate[0].chain: cannot read\n",
    );
}

#[test]
fn one_name_has_one_certificate() {
    let (first, first_key) = certificate(&["a.test", "shop.test"]);
    let (second, second_key) = certificate(&["*.test", "shop.test"]);
    let vault = with_files(&first, &first_key).with_file("/etc/wxgate/chain2.pem", &second, 0o644).with_file(
        "/etc/wxgate/key2.pem",
        &second_key,
        0o600,
    );
    let text = completed(
        "[tls]\nlisten = ['127.0.0.1:8443']\n[[tls.certificate]]\nchain = 'chain.pem'\nkey = 'key.pem'\n\
         [[tls.certificate]]\nchain = 'chain2.pem'\nkey = 'key2.pem'\n",
    );
    let told = told(&load_with(&text, Mode::Normal, &vault).unwrap_err());
    let why = "tls.certificate[1].chain: an earlier certificate is for shop.test, too";
    assert!(matches!(&told[..], [one] if one.contains(why)), "{told:?}");
}

#[test]
fn what_others_can_read_or_time_has_ended_is_a_warning() {
    let mut parameters = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = parameters.self_signed(&key).unwrap().pem();
    let vault = with_files(&chain, "").with_file("/etc/wxgate/key.pem", &key.serialize_pem(), 0o644);
    let warnings = loaded(&vault).unwrap().warnings;
    let said = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(said("valid only from") && said("can be read by other users"), "{warnings:?}");
}
