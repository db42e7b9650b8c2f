//! What the manual shows is run: every curl line of `docs/simulator.md`, in both languages.

use super::*;
use crate::sim::calls::sha256_hex;

const ENGLISH: &str = include_str!("../../../../docs/simulator.md");
const CHINESE: &str = include_str!("../../../../docs/simulator.zh-CN.md");

fn curl_lines(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("curl ")).collect()
}

#[test]
fn both_languages_show_the_same_lines() {
    assert_eq!(curl_lines(ENGLISH), curl_lines(CHINESE));
}

#[test]
fn the_manual_names_every_kind_of_fault() {
    // The hint of a refused kind lists all of them; `tests/control.rs` sees it.
    let script = include_str!("../control/script.rs");
    let kinds: Vec<&str> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"))
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds.len(), 17, "{kinds:?}");
    for page in [ENGLISH, CHINESE] {
        for kind in &kinds {
            assert!(page.contains(&format!("| `{kind}` |")), "{kind} is missing");
        }
    }
}

#[tokio::test]
async fn every_curl_line_of_the_manual_works() {
    let lines = curl_lines(ENGLISH);
    assert!(lines.len() > 20, "only {} lines were found", lines.len());
    let echo = start_echo().await;
    for line in lines {
        // A simulator of its own for each line: some lines reset, script faults or move the clock.
        let sim = Sim::start_with(|settings| settings.apps.truncate(1)).await;
        let words = words_of(&fill(&sim, &echo, line).await);
        let answer = curl(&sim.client, &words).await;
        assert!(answer.status().is_success(), "{line}: {}", answer.status());
        let text = answer.text().await.unwrap();
        let errcode =
            serde_json::from_str::<Value>(&text).ok().and_then(|answer| answer.get("errcode").cloned());
        assert!(errcode.is_none_or(|errcode| errcode == 0), "{line}: {text}");
    }
}

/// Logs alice in as the manual tells, and puts what it calls `$NAME` into the line.
async fn fill(sim: &Sim, echo: &Server, line: &str) -> String {
    sim.login("alice").await;
    let code = sim.login("alice").await;
    let session = sim.exchange(&sim.login("alice").await).await;
    let phone = sim.control("/_sim/phone-codes", json!({})).await;
    let phone_data = json!({ "data": { "purePhoneNumber": "13800138000" } });
    let data = sim.control("/_sim/encrypted-data", phone_data).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let filled = [
        ("$APPID", SHOP.to_owned()),
        ("$SECRET", SECRET.to_owned()),
        ("$CODE", code),
        ("$PHONE_CODE", text(&phone["code"])),
        ("$TOKEN", sim.access_token().await),
        ("$OPENID", text(&session["openid"])),
        ("$SIGNATURE", signature(&text(&session["session_key"]))),
        ("$DATA_SHA256", sha256_hex(text(&data["encryptedData"]).as_bytes())),
        ("$ECHO", echo.url.clone()),
        ("http://localhost:9100", sim.url.clone()),
    ]
    .into_iter()
    .fold(line.to_owned(), |line, (name, value)| line.replace(name, &value));
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// Splits a line as a shell would, as far as the manual goes: quotes, and `\"` within double ones.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (vec![], String::new(), None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some('"'), '\\') => word.extend(letters.next()),
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    words
}

/// As `curl` would send it: `-d` makes a POST of a form, several are joined.
async fn curl(client: &Client, words: &[String]) -> Response {
    let (mut method, mut url, mut data) = (None, None, vec![]);
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next().cloned(),
            "-d" => data.extend(words.next().cloned()),
            _ => url = Some(word.clone()),
        }
    }
    let default = if data.is_empty() { "GET" } else { "POST" };
    let method = method.unwrap_or_else(|| default.to_owned()).parse().unwrap();
    let request = client.request(method, url.unwrap());
    let form = request.header("content-type", "application/x-www-form-urlencoded").body(data.join("&"));
    form.send().await.unwrap()
}
