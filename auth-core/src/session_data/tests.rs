//! Over the memory store, with WeChat's own examples, and with a WeChat that says what it is told.

use std::sync::Mutex;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::ManualClock;
use crate::session::{Ended, MemoryStore};

const NOW: u64 = 1_477_314_200;
const APPID: &str = "wx4f4bc4dec97d474b";
const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";
const UNIONID: &str = "ocMvos6NjeKLIBqg5Mr9QjxrP1FA";
/// WeChat's example of open data, with its key.
const KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
const ENCRYPTED_DATA: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS\
    9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142d\
    NCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6\
    /1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn\
    /Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4P\
    C7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns\
    /8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYV\
    oKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuy\
    Db/XcxxmK01EpqOyuxINew==";
/// WeChat's example of raw data has another key.
const RAW_KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
const RAW_DATA: &str = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
const SIGNATURE: &str = "75e81ceda165f4ffa64f4068af58c64b8f54b88c";

/// Says that one key is current.
#[derive(Debug)]
struct OneKey {
    current: &'static str,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl KeyCheck for OneKey {
    async fn is_current(
        &self,
        app: &WechatApp,
        openid: &OpenId,
        session_key: &SessionKey,
    ) -> Result<bool, CallError> {
        self.asked.lock().unwrap().push(format!("{} {}", app.appid.as_str(), openid.as_str()));
        Ok(session_key.expose() == self.current)
    }
}

struct World {
    data: SessionData,
    store: Arc<MemoryStore>,
    revocations: Arc<Revocations>,
    clock: Arc<ManualClock>,
    wechat: Arc<OneKey>,
}

fn world() -> World {
    let (store, revocations) = (Arc::new(MemoryStore::new(100)), Arc::<Revocations>::default());
    let (clock, wechat) =
        (Arc::new(ManualClock::at(NOW)), Arc::new(OneKey { current: KEY, asked: Mutex::default() }));
    let parts = (Arc::clone(&store), Arc::clone(&revocations), Arc::clone(&clock), Arc::clone(&wechat));
    World { data: SessionData::new(parts.0, parts.1, parts.2, parts.3), store, revocations, clock, wechat }
}

fn app(appid: &str) -> AppId {
    AppId::parse(appid).unwrap()
}

fn user() -> Whose {
    Whose::User { app: app(APPID), openid: OpenId::parse(OPENID).unwrap() }
}

fn sid(number: u8) -> Sid {
    Sid::from_bytes([number; Sid::BYTES])
}

/// A session of the example's user, so many seconds old.
fn session(number: u8, age: u64, key: Option<&str>) -> LoginSession {
    LoginSession {
        sid: sid(number),
        app: app(APPID),
        openid: OpenId::parse(OPENID).unwrap(),
        unionid: Some(UnionId::parse(UNIONID).unwrap()),
        session_key: key.and_then(|key| SessionKey::new(key.to_owned())),
        logged_in_at: NOW - age,
        expires_at: NOW + 3600,
    }
}

impl World {
    async fn with(self, sessions: impl IntoIterator<Item = LoginSession>) -> Self {
        for session in sessions {
            self.store.put(session).await.unwrap();
        }
        self
    }

    async fn keys(&self) -> UserKeys {
        self.data.keys(&user(), |_| true).await.unwrap()
    }

    async fn refused(&self, whose: &Whose) -> KeysError {
        self.data.keys(whose, |_| true).await.unwrap_err()
    }
}

fn example() -> Sealed<'static> {
    Sealed { encrypted_data: ENCRYPTED_DATA, iv: IV }
}

fn sealed_with(key: &str, plain: &Value) -> String {
    let key = SessionKey::new(key.to_owned()).unwrap();
    open_data::encrypt(&key, STANDARD.decode(IV).unwrap().try_into().unwrap(), plain.to_string().as_bytes())
        .unwrap()
}

fn open(keys: &UserKeys, encrypted_data: &str) -> Result<OpenData, OpenError> {
    keys.open(Sealed { encrypted_data, iv: IV })
}

#[tokio::test]
async fn wechats_example_opens_for_the_user_and_for_a_session_of_theirs() {
    let world = world().with([session(1, 10, Some(KEY))]).await;
    for whose in [user(), Whose::Session(sid(1))] {
        let keys = world.data.keys(&whose, |_| true).await.unwrap();
        let data = keys.open(example()).unwrap();
        assert_eq!((data.sealed_at, &data.json["nickName"]), (1_477_314_187, &json!("Band")));
        assert_eq!((keys.app().as_str(), keys.openid().as_str()), (APPID, OPENID));
    }
}

#[tokio::test]
async fn wechats_example_of_raw_data_verifies() {
    let keys = world().with([session(1, 10, Some(RAW_KEY))]).await.keys().await;
    assert!(keys.verify(RAW_DATA, SIGNATURE));
    assert!(!keys.verify(&RAW_DATA.replace("Band", "band"), SIGNATURE));
    let another = world().with([session(1, 10, Some(KEY))]).await.keys().await;
    assert!(!another.verify(RAW_DATA, SIGNATURE));
}

#[tokio::test]
async fn the_newest_login_signs() {
    let newest = session(1, 10, Some("o0q0otL8aEzpcZL/FT9WsQ=="));
    let keys =
        world().with([session(2, 20, Some(KEY)), newest, session(3, 30, Some(RAW_KEY))]).await.keys().await;
    let expected = "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b";
    assert_eq!(keys.sign(br#"{"foo":"bar"}"#), expected);
}

#[tokio::test]
async fn what_was_sealed_before_a_login_elsewhere_still_opens() {
    let world = world().with([session(1, 20, Some(KEY)), session(2, 10, Some(RAW_KEY))]).await;
    assert!(world.keys().await.open(example()).is_ok());
    assert!(world.keys().await.verify(RAW_DATA, SIGNATURE));
    // Not with the key of a session that has ended.
    world.store.end(Ended { sid: sid(1), until: NOW + 9999 }).await.unwrap();
    assert_eq!(world.keys().await.open(example()).unwrap_err(), OpenError::Stale);
}

#[tokio::test]
async fn a_key_that_was_replaced_is_told_apart_from_data_that_is_none() {
    let keys = world().with([session(1, 10, Some(RAW_KEY))]).await.keys().await;
    assert_eq!(keys.open(example()).unwrap_err(), OpenError::Stale);
    let spoilt = |encrypted_data, iv| keys.open(Sealed { encrypted_data, iv }).unwrap_err();
    assert_eq!(spoilt(ENCRYPTED_DATA, "AAAA"), OpenError::Malformed(OpenDataError::BadIv));
    assert_eq!(spoilt(&ENCRYPTED_DATA[..8], IV), OpenError::Malformed(OpenDataError::NotWholeBlocks));
    assert_eq!(spoilt("", IV), OpenError::Malformed(OpenDataError::NotWholeBlocks));
    let lost = OpenDataError::BadBase64 { member: "encryptedData", spaces: true };
    assert_eq!(spoilt(&ENCRYPTED_DATA.replace('+', " "), IV), OpenError::Malformed(lost));
}

#[tokio::test]
async fn data_of_another_app_does_not_open() {
    let keys = world().with([session(1, 10, Some(KEY))]).await.keys().await;
    let watermark = json!({ "appid": "wx1111111111111111", "timestamp": NOW });
    let data = sealed_with(KEY, &json!({ "openId": OPENID, "watermark": watermark }));
    assert_eq!(open(&keys, &data).unwrap_err(), OpenError::Stale);
}

#[tokio::test]
async fn data_that_names_another_user_is_refused() {
    let keys = world().with([session(1, 10, Some(KEY))]).await.keys().await;
    let watermark = json!({ "appid": APPID, "timestamp": NOW });
    for (name, value) in [
        ("openId", json!("oGZUI0egBJY1zhBYw2KhdUfwVJJX")),
        ("openId", json!(["x"])),
        ("openId", json!(null)),
        ("unionId", json!("ocMvos6NjeKLIBqg5Mr9QjxrP1FX")),
    ] {
        let data = sealed_with(KEY, &json!({ name: value, "watermark": watermark }));
        assert_eq!(open(&keys, &data).unwrap_err(), OpenError::AnotherUser, "{name} {value}");
    }
    // Most kinds of data name nobody.
    assert!(open(&keys, &sealed_with(KEY, &json!({ "steps": 1, "watermark": watermark }))).is_ok());
}

#[tokio::test]
async fn an_openid_that_a_client_changed_is_refused() {
    let keys = world().with([session(1, 10, Some(KEY))]).await.keys().await;
    let mut iv = STANDARD.decode(IV).unwrap();
    iv[11] ^= b'o' ^ b'x';
    let changed = Sealed { encrypted_data: ENCRYPTED_DATA, iv: &STANDARD.encode(iv) };
    assert_eq!(keys.open(changed).unwrap_err(), OpenError::AnotherUser);
}

/// Data whose user has a nickname that ends with most of a unionid: the client cuts off all that comes before that, and
/// chooses the iv so that a member begins there. `encryptedData` and `iv`.
fn with_a_unionid_written_in() -> (String, String) {
    const BLOCK: usize = 16;
    let (known, wanted) = (*b"0123456789abcdef", *br#"{"unionId":"ocMv"#);
    let before = format!(r#"{{"openId":"{OPENID}","nickName":""#);
    let fill = "x".repeat(before.len().next_multiple_of(BLOCK) - before.len());
    let cut = before.len() + fill.len();
    let known_text = std::str::from_utf8(&known).unwrap();
    let after = format!(r#"os6NjeKLIBqg5Mr9QjxrP1FX","watermark":{{"timestamp":{NOW},"appid":"{APPID}"}}}}"#);
    let key = SessionKey::new(KEY.to_owned()).unwrap();
    let plain = format!("{before}{fill}{known_text}{after}");
    let sealed = open_data::encrypt(&key, [7; BLOCK], plain.as_bytes()).unwrap();
    let sealed = STANDARD.decode(sealed).unwrap();
    let iv: Vec<_> = (0..BLOCK).map(|n| sealed[cut - BLOCK + n] ^ known[n] ^ wanted[n]).collect();
    (STANDARD.encode(&sealed[cut..]), STANDARD.encode(iv))
}

#[tokio::test]
async fn a_unionid_that_no_login_told_is_not_passed_on() {
    let (encrypted_data, iv) = with_a_unionid_written_in();
    let written_in = Sealed { encrypted_data: &encrypted_data, iv: &iv };
    let told = session(1, 10, Some(KEY));
    let untold = LoginSession { unionid: None, ..told.clone() };
    let keys = world().with([untold]).await.keys().await;
    let data = keys.open(written_in).unwrap();
    assert_eq!(data.json, json!({ "watermark": { "appid": APPID, "timestamp": NOW } }));
    let data = keys.open(example()).unwrap();
    assert_eq!((&data.json["openId"], data.json.get("unionId")), (&json!(OPENID), None));
    let keys = world().with([told]).await.keys().await;
    assert_eq!(keys.open(written_in).unwrap_err(), OpenError::AnotherUser);
    assert_eq!(keys.open(example()).unwrap().json["unionId"], UNIONID);
}

#[tokio::test]
async fn nothing_is_said_about_a_user_of_an_app_that_may_not_be_asked_about() {
    let world = world().with([session(1, 10, Some(KEY))]).await;
    let nobody = OpenId::parse("oNobodyWithThisNameEverCame1").unwrap();
    for whose in [user(), Whose::Session(sid(1)), Whose::User { app: app(APPID), openid: nobody }] {
        let other = app("wx1111111111111111");
        let refused = world.data.keys(&whose, |app| *app == other).await.unwrap_err();
        assert!(matches!(refused, KeysError::AppNotAllowed), "{whose:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_user_without_a_live_session_has_no_key() {
    let world = world();
    for whose in [user(), Whose::Session(sid(1))] {
        assert!(matches!(world.refused(&whose).await, KeysError::NoSession));
    }
    let world = world.with([session(1, 10, Some(KEY))]).await;
    // Ended here, and the store does not know it yet.
    world.revocations.insert(Ended { sid: sid(1), until: NOW + 9999 });
    for whose in [user(), Whose::Session(sid(1))] {
        assert!(matches!(world.refused(&whose).await, KeysError::NoSession), "{whose:?}");
    }
    let world = world.with([session(2, 10, Some(KEY))]).await;
    assert!(world.data.keys(&user(), |_| true).await.is_ok());
    // A session of the user that goes on opens nothing for one that has ended.
    assert!(matches!(world.refused(&Whose::Session(sid(1))).await, KeysError::NoSession));
    world.clock.advance(3600);
    assert!(matches!(world.refused(&user()).await, KeysError::NoSession));
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_passed_over() {
    let world = world().with([session(1, 10, None)]).await;
    assert!(matches!(world.refused(&user()).await, KeysError::NotReadable));
    let world = world.with([session(2, 20, Some(KEY))]).await;
    assert!(world.keys().await.open(example()).is_ok());
}

#[tokio::test]
async fn wechat_is_asked_about_the_newest_key() {
    let world = world().with([session(1, 20, Some(RAW_KEY)), session(2, 10, Some(KEY))]).await;
    let secret = crate::AppSecret::new("5e1fa77e0c3b4d2a9c8b7a6f5e4d3c2b".into()).unwrap();
    let wechat_app = WechatApp { appid: app(APPID), secret };
    assert!(world.data.is_current(&wechat_app, &world.keys().await).await.unwrap());
    assert_eq!(*world.wechat.asked.lock().unwrap(), [format!("{APPID} {OPENID}")]);
    let world = world.with([session(3, 5, Some("o0q0otL8aEzpcZL/FT9WsQ=="))]).await;
    assert!(!world.data.is_current(&wechat_app, &world.keys().await).await.unwrap());
}

#[tokio::test]
async fn keys_are_not_shown() {
    let keys = world().with([session(1, 10, Some(KEY)), session(2, 20, Some(RAW_KEY))]).await.keys().await;
    let printed = format!("{keys:?} {keys:#?}");
    assert!(
        printed.contains(APPID) && !printed.contains("tiihtN") && !printed.contains("HyVFkG"),
        "{printed}"
    );
}
