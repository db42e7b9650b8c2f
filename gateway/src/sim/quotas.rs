//! How often: code exchanges counted per user and per app.

use super::Settings;
use super::errcode::{DAILY_QUOTA, Errcode, MINUTE_QUOTA};
use super::shelf::Shelf;

/// Counters kept at once; the oldest goes first, which at worst forgives someone.
const COUNTERS_MAX: usize = 50_000;

/// Counters by who and which window: fixed windows, as "retry next minute" suggests.
#[derive(Debug)]
pub(super) struct Quotas {
    counters: Shelf<String, Counter>,
}

#[derive(Debug)]
struct Counter {
    window: u64,
    count: u32,
}

impl Quotas {
    pub(super) fn new() -> Self {
        Self { counters: Shelf::new(COUNTERS_MAX) }
    }

    /// Counts one exchange of this app, and of this user if the code told who it is. A refused one counts as well.
    pub(super) fn count_exchange(
        &mut self,
        settings: &Settings,
        appid: &str,
        openid: Option<&str>,
        now: u64,
    ) -> Result<(), Errcode> {
        let per_user = openid.is_none_or(|openid| {
            let who = format!("minute {appid} {openid}");
            self.within(who, now / 60, settings.exchanges_per_user_per_minute)
        });
        let per_minute =
            self.within(format!("minute {appid}"), now / 60, settings.exchanges_per_app_per_minute);
        let per_day = self.within(format!("day {appid}"), now / 86_400, settings.exchanges_per_app_per_day);
        match (per_user && per_minute, per_day) {
            (true, true) => Ok(()),
            (false, _) => Err(MINUTE_QUOTA),
            (true, false) => Err(DAILY_QUOTA),
        }
    }

    fn within(&mut self, who: String, window: u64, max: Option<u32>) -> bool {
        let Some(max) = max else {
            return true;
        };
        match self.counters.get_mut(&who) {
            Some(counter) if counter.window == window => {
                counter.count = counter.count.saturating_add(1);
                counter.count <= max
            }
            _ => {
                self.counters.put(who, Counter { window, count: 1 });
                max >= 1
            }
        }
    }
}
