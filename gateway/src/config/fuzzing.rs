//! What must hold of every text that is taken for a config.

use std::env::VarError;
use std::io;
use std::path::Path;

use toml::{Table, Value};

use super::secrets::{SecretFile, Secrets};
use super::{Checked, Mistakes, Mode, load_bytes};

/// In a folder that can have no files, so that an `include` finds none.
const MAIN: &str = "/dev/null/wxgate.toml";

/// What the variables hold that a config may name.
const VARIABLES: [(&str, &str); 2] =
    [("KEY", "Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e"), ("SHOP_SECRET", "f3c1a97be0d2456889ab10c7d35e6f42")];

/// A secret that stands in texts as a word of its own, anywhere. Nothing but its looks tells what it is.
const PASTED: &str = "9d2c61f0e7b84a35c1d6f92b08e3a74d";

struct Vault;

impl Secrets for Vault {
    fn env(&self, name: &str) -> Result<String, VarError> {
        let found = VARIABLES.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
    }

    fn file(&self, _: &Path) -> io::Result<SecretFile> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Reads `data` as a config file, as an operator's and as a developer's, and returns what was accepted. Then:
/// - what is refused is refused for a reason, and no reason is a command to a terminal;
/// - no reason, warning or `Debug` form shows a secret that a variable holds or that stands in the text where a secret belongs,
///   and no reason or warning one that was pasted anywhere and looks like one.
pub(crate) fn load(data: &[u8]) -> Vec<Checked> {
    let text = String::from_utf8_lossy(data);
    let (secrets, pasted) = (secrets(&text), pasted(&text));
    let mut accepted = Vec::new();
    for mode in [Mode::Normal, Mode::Dev] {
        let (said, printed) = match load_bytes(Path::new(MAIN), data.to_vec(), mode, &Vault) {
            Ok(checked) => {
                let forms = (checked.warnings.join("\n"), format!("{checked:?}"));
                accepted.push(checked);
                forms
            }
            Err(mistakes) => (refused(&mistakes), String::new()),
        };
        for secret in &secrets {
            assert!(
                !said.contains(secret) && !printed.contains(secret),
                "{secret}:\n{said}\n{printed}\nfor:\n{text}"
            );
        }
        assert!(!pasted || !said.contains(PASTED), "{said}\nfor:\n{text}");
    }
    accepted
}

fn refused(mistakes: &Mistakes) -> String {
    assert!(!mistakes.list.is_empty(), "refused without a reason");
    let shown = mistakes.render(false);
    let command = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!shown.contains(command), "{shown:?}");
    format!("{shown}\n{mistakes:?}")
}

/// What must never be shown of a config with this text.
fn secrets(text: &str) -> Vec<String> {
    let ours = VARIABLES.iter().map(|(_, value)| *value).filter(|value| !text.contains(value));
    let mut secrets: Vec<_> = ours.map(str::to_owned).collect();
    if let Ok(table) = text.parse::<Table>() {
        let apps = table.get("app").and_then(Value::as_table).into_iter().flat_map(|apps| apps.values());
        let keys = table.get("token").and_then(|token| token.get("keys")?.as_array()).into_iter().flatten();
        let written = apps.chain(keys).filter_map(|holder| holder.get("secret")?.as_str());
        // A short one may be part of any text, and one that stands elsewhere too is shown there.
        let telling = |secret: &&str| secret.len() >= 16 && text.matches(*secret).count() == 1;
        secrets.extend(written.filter(telling).map(str::to_owned));
    }
    secrets
}

/// Whether [`PASTED`] stands in the text, and nowhere as a part of another word.
fn pasted(text: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let words = text.split(|c| !part_of_a_word(c)).filter(|word| word.contains(PASTED));
    words.map(|word| word == PASTED).reduce(|all, one| all && one).unwrap_or(false)
}
