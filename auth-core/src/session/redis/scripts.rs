//! What must happen at once, as scripts for Redis. Each touches keys of one slot only.
//!
//! `END` and `LOG` remove before they add: Redis out of memory refuses a script whose first write adds, and an end must
//! be taken then too.
//!
//! An end, or a session in a list, has passed when both the node and Redis say so: a node whose clock is ahead forgets none
//! for the others.
//!
//! They are sent whole each time: a few hundred bytes, and no server can have forgotten them after a failover.

use redis::{Cmd, ToRedisArgs, cmd};

/// Keeps a session unless it has ended. KEYS: session, end. ARGV: record, milliseconds.
pub(super) const PUT: &str = r"
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Remembers an end and removes the session, whose record it gives back. KEYS: session, end. ARGV: until, milliseconds.
pub(super) const END: &str = r"
local record = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
local before = redis.call('GET', KEYS[2])
if not before or tonumber(before) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
end
return record";

/// Writes an end into the log and tells the other nodes, unless the log had it. KEYS: ends.
/// ARGV: sid, until, milliseconds, channel, now.
pub(super) const LOG: &str = r"
local now = math.min(tonumber(ARGV[5]), tonumber(redis.call('TIME')[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%d', now))
if redis.call('ZADD', KEYS[1], 'GT', 'CH', ARGV[2], ARGV[1]) == 0 then return 0 end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('PUBLISH', ARGV[4], ARGV[1] .. ' ' .. ARGV[2])
return 1";

/// Enters a session into the index of its user and removes what has expired. KEYS: index.
/// ARGV: member, expires_at, now, milliseconds.
pub(super) const ENTER: &str = r"
local now = math.min(tonumber(ARGV[3]), tonumber(redis.call('TIME')[1]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now))
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1";

/// Removes at most so many passed ends from the log. KEYS: ends. ARGV: now, how many.
pub(super) const SWEEP: &str = r"
local now = math.min(tonumber(ARGV[1]), tonumber(redis.call('TIME')[1]))
local passed =
  redis.call('ZRANGE', KEYS[1], '-inf', '(' .. string.format('%d', now), 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, sid in ipairs(passed) do redis.call('ZREM', KEYS[1], sid) end
return #passed";

/// Takes a code, or says what stands there. KEYS: code. ARGV: own claim, milliseconds.
pub(super) const CLAIM: &str = r"
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]";

/// Gives a code back that is still this node's. KEYS: code. ARGV: own claim.
pub(super) const GIVE_BACK: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// A script with its keys; its arguments follow.
pub(super) fn script(text: &str, keys: &[String]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(keys.len());
    for key in keys {
        command.arg(key);
    }
    command
}

/// The arguments of a script.
pub(super) fn with<T: ToRedisArgs>(mut command: Cmd, arguments: &[T]) -> Cmd {
    for argument in arguments {
        command.arg(argument);
    }
    command
}
