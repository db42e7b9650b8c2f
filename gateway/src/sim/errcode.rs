//! WeChat's error codes, with the texts that were seen in the wild.

/// A numeric code and its usual `errmsg`, without the trailing rid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errcode(pub(super) i64, pub(super) &'static str);

pub(super) const BUSY: Errcode = Errcode(-1, "system error");
pub(super) const HASH_UNKNOWN: Errcode = Errcode(1, "data not found");
pub(super) const CREDENTIAL_INVALID: Errcode = Errcode(
    40001,
    "invalid credential, access_token is invalid or not latest, could get access_token by \
     getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
);
pub(super) const GRANT_TYPE_INVALID: Errcode = Errcode(40002, "invalid grant_type");
pub(super) const APPID_INVALID: Errcode = Errcode(40013, "invalid appid");
pub(super) const ACCESS_TOKEN_INVALID: Errcode = Errcode(40014, "invalid access_token");
pub(super) const CODE_INVALID: Errcode = Errcode(40029, "invalid code");
pub(super) const ARGS_INVALID: Errcode = Errcode(40097, "invalid args");
pub(super) const SECRET_INVALID: Errcode =
    Errcode(40125, "invalid appsecret, view more at http://t.cn/RAEkdVq");
pub(super) const CODE_USED: Errcode = Errcode(40163, "code been used");
pub(super) const ACCESS_TOKEN_MISSING: Errcode = Errcode(41001, "access_token missing");
pub(super) const APPID_MISSING: Errcode = Errcode(41002, "appid missing");
pub(super) const SECRET_MISSING: Errcode = Errcode(41004, "appsecret missing");
pub(super) const CODE_MISSING: Errcode = Errcode(41008, "missing code");
pub(super) const ACCESS_TOKEN_EXPIRED: Errcode = Errcode(42001, "access_token expired");
pub(super) const POST_REQUIRED: Errcode = Errcode(43002, "require POST method");
pub(super) const DAILY_QUOTA: Errcode = Errcode(45009, "reach max api daily quota limit");
pub(super) const MINUTE_QUOTA: Errcode =
    Errcode(45011, "api minute-quota reach limit, must slower, retry next minute");
pub(super) const DATA_FORMAT: Errcode = Errcode(47001, "data format error");
pub(super) const SESSION_KEY_GONE: Errcode = Errcode(87007, "session_key is not existd or expired");
pub(super) const SIG_METHOD_INVALID: Errcode = Errcode(87008, "invalid sig_method");
pub(super) const SIGNATURE_INVALID: Errcode = Errcode(87009, "invalid signature");

/// Codes that only a script produces; see [`text_of`].
const SCRIPTED: [Errcode; 7] = [
    Errcode(40164, "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"),
    Errcode(40226, "code blocked"),
    Errcode(40243, "appsecret has been frozen"),
    Errcode(42003, "code expired"),
    Errcode(48001, "api unauthorized"),
    Errcode(50002, "user limited"),
    Errcode(50007, "account frozen"),
];

/// The usual text of a code, for a script that names only the number.
pub(super) fn text_of(code: i64) -> Option<&'static str> {
    let answered = [
        BUSY,
        HASH_UNKNOWN,
        CREDENTIAL_INVALID,
        GRANT_TYPE_INVALID,
        APPID_INVALID,
        ACCESS_TOKEN_INVALID,
        CODE_INVALID,
        ARGS_INVALID,
        SECRET_INVALID,
        CODE_USED,
        ACCESS_TOKEN_MISSING,
        APPID_MISSING,
        SECRET_MISSING,
        CODE_MISSING,
        ACCESS_TOKEN_EXPIRED,
        POST_REQUIRED,
        DAILY_QUOTA,
        MINUTE_QUOTA,
        DATA_FORMAT,
        SESSION_KEY_GONE,
        SIG_METHOD_INVALID,
        SIGNATURE_INVALID,
    ];
    answered.into_iter().chain(SCRIPTED).find(|known| known.0 == code).map(|known| known.1)
}
