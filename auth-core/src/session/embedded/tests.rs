//! What a file must do beyond what every store must: come back, stay private, say what is wrong with it.

mod disks;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::ReadableTable;

use super::super::tests::{key_of, session, sid};
use super::super::{Ended, Seal, SealKey, SessionStore, StoreError};
use super::{EmbeddedError, EmbeddedStore};

const NOW: u64 = 1_000_000_000;

/// A key with which every store here seals, and another.
const KEY: &[u8; 64] = b"428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5";
const OTHER_KEY: &[u8; 64] = b"d807aa9812835b01243185be550c7dc372be5d7480deb1fe9bdc06a7c19bf174";

fn seal(kid: &str, key: &[u8]) -> Seal {
    Seal::new(vec![SealKey::parse(kid, key).unwrap()]).unwrap()
}

fn open(path: impl Into<PathBuf>, sessions_max: u64) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(path, sessions_max, seal("2026-11", KEY))
}

/// What is wrong with the file at `path`.
fn refusal(path: &Path) -> EmbeddedError {
    match open(path, 9) {
        Err(StoreError::Failed(error)) => *error.downcast::<EmbeddedError>().unwrap(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn sessions_and_ends_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let end = Ended { sid: sid(2), until: NOW + 60 };

    let store = open(&path, 9).unwrap();
    store.put(session(1)).await.unwrap();
    store.end(end).await.unwrap();
    drop(store);

    let store = open(&path, 9).unwrap();
    let got = store.get(sid(1), NOW).await.unwrap().unwrap();
    assert_eq!(key_of(&got), key_of(&session(1)));
    assert_eq!(store.ended(NOW).await.unwrap(), [end]);
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_of_a_process_that_never_closed_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("sessions.redb"), directory.path().join("copy.redb"));
    let store = open(&path, 99).unwrap();
    for number in 1..=20 {
        store.put(session(number)).await.unwrap();
    }
    fs::copy(&path, &copy).unwrap();

    let found = open(&copy, 99).unwrap();
    for number in 1..=20 {
        assert!(found.get(sid(number), NOW).await.unwrap().is_some(), "session {number}");
    }
}

#[tokio::test]
async fn many_logins_at_once_are_all_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path().join("sessions.redb"), 999).unwrap());
    let puts: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put(session(number)).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    for number in 0..200 {
        assert!(store.get(sid(number), NOW).await.unwrap().is_some(), "session {number}");
    }
}

#[tokio::test]
async fn a_full_store_fails_one_login_of_a_batch_and_not_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path().join("sessions.redb"), 2).unwrap();
    let (one, two, three, end) = tokio::join!(
        store.put(session(1)),
        store.put(session(2)),
        store.put(session(3)),
        store.end(Ended { sid: sid(9), until: NOW })
    );
    assert!(one.is_ok() && two.is_ok() && end.is_ok());
    assert!(matches!(three, Err(StoreError::Full { limit: 2 })));
}

#[test]
fn the_file_is_private_and_made_so_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;

    drop(open(&path, 9).unwrap());
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path, 9).unwrap());
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_file_that_is_open_elsewhere_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let _first = open(&path, 9).unwrap();
    let refusal = refusal(&path);
    assert!(matches!(refusal, EmbeddedError::InUse(_)), "{refusal:?}");
    assert!(refusal.to_string().contains("sessions.redb is open in another process"), "{refusal}");
}

#[test]
fn a_file_in_no_directory_is_refused_by_name() {
    let refusal = refusal(Path::new("/nowhere/at/all/sessions.redb"));
    assert!(matches!(refusal, EmbeddedError::Unreachable { .. }), "{refusal:?}");
    assert!(refusal.to_string().starts_with("/nowhere/at/all/sessions.redb cannot be opened: No such file"));
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    for notes in ["not a database".to_owned(), "n".repeat(100_000)] {
        fs::write(&path, &notes).unwrap();
        let refusal = refusal(&path);
        assert!(matches!(refusal, EmbeddedError::Damaged { .. }), "{refusal:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), notes);
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = open(&path, 9).unwrap();
    store.put(session(1)).await.unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for left in [1, 64, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..left]).unwrap();
        let refusal = refusal(&path);
        assert!(matches!(refusal, EmbeddedError::Damaged { .. }), "{left} bytes left: {refusal:?}");
    }
}

/// redb itself panics over some of these.
#[tokio::test]
async fn a_file_damaged_anywhere_is_refused_or_holds_every_session() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = open(&path, 99).unwrap();
    for number in 1..=50 {
        store.put(session(number)).await.unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    // The head closely, then every second page.
    for at in (0..320).step_by(4).chain((320..whole.len()).step_by(8191)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        match open(&path, 99) {
            Err(_) => refused += 1,
            Ok(store) => {
                for number in 1..=50 {
                    assert!(
                        store.get(sid(number), NOW).await.unwrap().is_some(),
                        "byte {at}, session {number}"
                    );
                }
            }
        }
    }
    assert!(refused > 30, "only {refused} refused");
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    drop(open(&path, 9).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let about = redb::TableDefinition::<&str, u64>::new("about");
    transaction.open_table(about).unwrap().insert("format", 3).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refusal(&path), EmbeddedError::Format { found: 3, known: 2 }));
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_can_be_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let sessions = redb::TableDefinition::<&[u8; 16], &[u8]>::new("sessions");
    let broken = [
        b"".as_slice(),
        b"\x03later",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\0",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\x09{\"app\"",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\0{\"app\":7}",
    ];
    for record in broken {
        drop(open(&path, 9).unwrap());
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(sessions).unwrap().insert(sid(1).as_bytes(), record).unwrap();
        transaction.commit().unwrap();
        drop(database);

        let store = open(&path, 9).unwrap();
        assert!(matches!(store.get(sid(1), NOW).await, Err(StoreError::Failed(_))), "{record:?}");
        store.end(Ended { sid: sid(1), until: NOW }).await.unwrap();
        assert!(store.get(sid(1), NOW).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_look_whether_there_is_room_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path().join("sessions.redb"), 9).unwrap();
    store.check().await.unwrap();
    assert_eq!(store.sweep(u64::MAX, 9).await.unwrap(), 0);
}

/// Whether `text` is in the file.
fn holds(path: &Path, text: &[u8]) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn no_session_key_is_in_the_file_and_a_session_whose_seal_does_not_open_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = open(&path, 9).unwrap();
    store.put(session(1)).await.unwrap();
    drop(store);
    assert!(holds(&path, b"oGZUI0egBJY1zhBYw2KhdUfwVJJE") && !holds(&path, b"tiihtNczf5v6AKRyjwEUhQ"));

    for other in [seal("2026-11", OTHER_KEY), seal("2026-12", OTHER_KEY)] {
        let store = EmbeddedStore::open(&path, 9, other).unwrap();
        let got = store.get(sid(1), NOW).await.unwrap().unwrap();
        assert_eq!((got.openid.as_str(), key_of(&got)), (session(1).openid.as_str(), None));
    }
    let keys = [("2026-12", OTHER_KEY), ("2026-11", KEY)];
    let keys = keys.map(|(kid, key)| SealKey::parse(kid, key).unwrap());
    let store = EmbeddedStore::open(&path, 9, Seal::new(keys.into()).unwrap()).unwrap();
    let got = store.get(sid(1), NOW).await.unwrap().unwrap();
    assert_eq!(key_of(&got), key_of(&session(1)));
}

/// The sealed key of one session, put into the record of another by whoever can write the file.
#[tokio::test]
async fn a_sealed_key_moved_to_another_session_does_not_open_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = open(&path, 9).unwrap();
    store.put(session(1)).await.unwrap();
    store.put(session(2)).await.unwrap();
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut sessions = transaction.open_table(super::tables::SESSIONS).unwrap();
        let record = sessions.get(sid(1).as_bytes()).unwrap().unwrap().value().to_vec();
        sessions.insert(sid(2).as_bytes(), record.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = open(&path, 9).unwrap();
    assert!(store.get(sid(1), NOW).await.unwrap().unwrap().session_key.is_some());
    assert!(store.get(sid(2), NOW).await.unwrap().unwrap().session_key.is_none());
}

/// A file as version 0.1.0 wrote it: `sessions` sessions, one record that is damaged, and an end.
fn write_format_1(path: &Path, sessions: u32) {
    type Sid = &'static [u8; 16];
    let database = redb::Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let about = redb::TableDefinition::<&str, u64>::new("about");
        transaction.open_table(about).unwrap().insert("format", 1).unwrap();
        let table = redb::TableDefinition::<Sid, &[u8]>::new("sessions");
        let index = redb::TableDefinition::<(u64, Sid), ()>::new("sessions_by_expiry");
        let (mut table, mut index) =
            (transaction.open_table(table).unwrap(), transaction.open_table(index).unwrap());
        for number in 0..sessions {
            let mut record = b"\x01".to_vec();
            record.extend((NOW + 3600).to_be_bytes());
            record.extend(
                br#"{"app":"wx4f4bc4dec97d474b","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","unionid":null,"#,
            );
            record.extend(br#""session_key":"tiihtNczf5v6AKRyjwEUhQ==","logged_in_at":1000000000}"#);
            table.insert(&numbered(number), record.as_slice()).unwrap();
            index.insert((NOW + 3600, &numbered(number)), ()).unwrap();
        }
        table.insert(&[0xff; 16], b"\x01damaged".as_slice()).unwrap();
        let ended = redb::TableDefinition::<Sid, u64>::new("ended");
        let by_until = redb::TableDefinition::<(u64, Sid), ()>::new("ended_by_until");
        transaction.open_table(ended).unwrap().insert(&[0xee; 16], NOW + 60).unwrap();
        transaction.open_table(by_until).unwrap().insert((NOW + 60, &[0xee; 16]), ()).unwrap();
    }
    transaction.commit().unwrap();
}

fn numbered(number: u32) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

#[tokio::test]
async fn a_file_of_format_1_becomes_one_that_holds_no_key_in_clear() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    // More than one piece of the rewriting.
    write_format_1(&path, 10_002);
    // What an earlier start left half done.
    fs::write(directory.path().join("sessions.redb.new"), "half a database").unwrap();
    assert!(holds(&path, b"tiihtNczf5v6AKRyjwEUhQ"));

    for start in ["the first", "the second"] {
        let store = open(&path, 99_999).unwrap();
        for number in [0, 9_999, 10_000, 10_001] {
            let sid = crate::Sid::from_bytes(numbered(number));
            let got = store.get(sid, NOW).await.unwrap().unwrap();
            assert_eq!(key_of(&got), key_of(&session(1)), "{start}, session {number}");
        }
        let (app, openid) = (session(1).app, session(1).openid);
        assert_eq!(store.of_user(&app, &openid, NOW, 99_999).await.unwrap().len(), 10_002, "{start}");
        assert_eq!(store.ended(NOW).await.unwrap(), [Ended { sid: sid(0xee), until: NOW + 60 }], "{start}");
        assert!(matches!(refusal(&path), EmbeddedError::InUse(_)), "{start}");
    }
    assert!(!holds(&path, b"tiihtNczf5v6AKRyjwEUhQ"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let store = open(&path, 99_999).unwrap();
    assert_eq!(store.sweep(NOW + 3600, 99_999).await.unwrap(), 10_003);
}

#[tokio::test]
async fn a_file_of_format_1_that_cannot_be_rewritten_is_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    write_format_1(&path, 3);
    let length = fs::metadata(&path).unwrap().len();
    // Where the new file would stand is a folder.
    let beside = directory.path().join("sessions.redb.new");
    fs::create_dir_all(beside.join("not empty")).unwrap();
    assert!(matches!(refusal(&path), EmbeddedError::Unreachable { .. }));
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    assert!(holds(&path, b"tiihtNczf5v6AKRyjwEUhQ"));
    fs::remove_dir_all(beside).unwrap();
    let store = open(&path, 9).unwrap();
    assert!(store.get(crate::Sid::from_bytes(numbered(2)), NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_record_does_not_hide_the_other_sessions_of_its_user() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = open(&path, 9).unwrap();
    for number in 1..=3 {
        store.put(session(number)).await.unwrap();
    }
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let sessions = super::tables::SESSIONS;
    transaction.open_table(sessions).unwrap().insert(sid(2).as_bytes(), b"\x02".as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let store = open(&path, 9).unwrap();
    let found = store.of_user(&session(1).app, &session(1).openid, NOW, 9).await.unwrap();
    assert_eq!(found.iter().map(|found| found.sid).collect::<Vec<_>>(), [sid(3), sid(1)]);
}
