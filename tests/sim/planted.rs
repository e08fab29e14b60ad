//! The bugs of the delivery core, each one replacement in one of its files. Those of what agents answer
//! and of dialects are in [`planted_doors`](crate::planted_doors), those of the spool in
//! [`planted_spool`](crate::planted_spool).
//!
//! A list and nothing else, so it stands in one file, however long.

/// A text that occurs exactly once in a file, and the bug that takes its place.
pub(crate) struct Bug {
    pub(crate) name: &'static str,
    /// The folder of the file, in the client's sources.
    pub(crate) folder: &'static str,
    pub(crate) file: &'static str,
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
    /// Further words for the simulator.
    pub(crate) words: &'static [&'static str],
}

const fn bug(
    name: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Bug {
    Bug {
        name,
        folder: "delivery",
        file,
        find,
        replace,
        words: &[],
    }
}

pub(crate) const BUGS: &[Bug] = &[
    // Numbers left out.
    bug(
        "left-out numbers never done with",
        "core.rs",
        "lane.finish(skipped);",
        "let _ = skipped;",
    ),
    bug(
        "batch over left-out numbers",
        "batch.rs",
        "        self.seal();\n        let skipped =",
        "        let skipped =",
    ),
    // Acknowledgements.
    bug(
        "ack on end of connection",
        "core.rs",
        "self.give_back(id_of_agent, call, Loss::Unknown);",
        "self.retire(&call.batch, Outcome::Delivered { agent: id_of_agent });",
    ),
    bug(
        "reply answers the oldest call",
        "link.rs",
        "self.in_flight.remove(&call)",
        "self.in_flight.pop_first().map(|(_, call)| call)",
    ),
    bug(
        "wrong serial tolerated",
        "core/answers.rs",
        "self.break_link(broken(epoch), Some(Disconnect::UnknownCall(id)), None);",
        "",
    ),
    bug(
        "stale epoch accepted",
        "agent.rs",
        ".position(|link| link.epoch == epoch)",
        ".position(|link| link.epoch >= epoch)",
    ),
    bug(
        "refusal taken for an ack",
        "core/answers.rs",
        "        match answer {\n",
        "        let is_refusal = matches!(answer, Answer::Refused { .. });
        let is_taken = is_refusal && call.batch.attempts > 3;
        match if is_taken { Answer::Committed } else { answer } {\n",
    ),
    bug(
        "acked and put back",
        "core/answers.rs",
        "self.retire(&call.batch, Outcome::Delivered { agent: id_of_agent });",
        "self.retire(&call.batch, Outcome::Delivered { agent: id_of_agent });
            self.lanes.of_mut(call.batch.level).batches.put_back(call.batch);",
    ),
    bug(
        "watermark passes a gap",
        "../seq.rs",
        "        if first == self.watermark {",
        "        if first >= self.watermark {",
    ),
    // Losses and duplicates.
    bug(
        "batch dropped on reconnect",
        "core/answers.rs",
        "None => batches.put_back(call.batch),",
        "None => {}",
    ),
    bug(
        "batch dropped when unsent",
        "core.rs",
        "                lane.batches.put_back(call.batch.unsent());\n",
        "",
    ),
    bug(
        "best effort resends",
        "core/answers.rs",
        "if level == Reliability::BestEffort {",
        "if level == Reliability::BestEffort && call.batch.attempts > 1 {",
    ),
    bug(
        "begun call taken for unsent",
        "core.rs",
        "if unsent_from.is_some_and(|from| id >= from) {",
        "if unsent_from.is_some_and(|from| id.next() >= from) {",
    ),
    bug(
        "close forgets calls in flight",
        "core.rs",
        "true => self.retire(&call.batch, Outcome::Lost(Loss::Unknown)),",
        "true => drop(call),",
    ),
    bug(
        "spare closed with calls in flight",
        "select.rs",
        "is_open && agent.in_flight_count() == 0",
        "is_open",
    ),
    bug(
        "spare never closed",
        "core.rs",
        "        self.close_spares();\n",
        "",
    ),
    // Counters.
    bug(
        "batches counted as events",
        "outcome.rs",
        "*counter += u64::from(events);",
        "*counter += 1;",
    ),
    bug(
        "accepted counts inputs",
        "core.rs",
        "lane.counters.accepted += ends.len() as u64;\n                lane.batches.append",
        "lane.counters.accepted += 1;\n                lane.batches.append",
    ),
    bug(
        "unsent attempt stays counted",
        "batch.rs",
        "attempts: self.attempts.saturating_sub(1),",
        "attempts: self.attempts,",
    ),
    // Order and batches.
    bug(
        "retried batch goes last",
        "batch.rs",
        "batches.insert(place, batch);",
        "let _ = place;\n    batches.push_back(batch);",
    ),
    bug(
        "batch rests for ever",
        "core/answers.rs",
        "call.batch.rest_until = self.now + rest;",
        "call.batch.rest_until = self.now + rest * 100_000;",
    ),
    bug(
        "ordered mode lets others go first",
        "lane.rs",
        "true => self.batches.pop(),",
        "true => self.batches.pop_rested(now),",
    ),
    bug(
        "ordered mode ignored",
        "lane.rs",
        "let is_taken = self.is_ordered && (self.calls_in_flight > 0 || self.batches.has_aside());",
        "let is_taken = false;",
    ),
    bug(
        "one event too many",
        "batch.rs",
        "batch.events >= self.events_max",
        "batch.events > self.events_max",
    ),
    bug(
        "bytes of a batch unbounded",
        "batch.rs",
        "batch.bytes.saturating_add(bytes) <= self.bytes_max",
        "batch.bytes < self.bytes_max",
    ),
    // Events that somebody waits for.
    bug(
        "awaited batch lingers",
        "batch.rs",
        "batch.first < self.awaited",
        "batch.first < self.awaited && batch.events > 3",
    ),
    bug(
        "awaited batch sent to a busy agent",
        "core.rs",
        "let is_quiet = self.has_answer || select::is_idle(&self.agents, now, &self.settings);",
        "let is_quiet = true;",
    ),
    bug(
        "an answer takes no awaited batch along",
        "core/answers.rs",
        "self.has_answer = true;",
        "",
    ),
    bug(
        "mark before its events forgotten",
        "batch.rs",
        "self.awaited = self.awaited.max(upto);",
        "self.awaited = self.awaited.max(upto.min(self.next));",
    ),
    bug(
        "no batch lingers",
        "batch.rs",
        "*since + self.linger",
        "*since + self.linger / 2",
    ),
    // Levels.
    bug(
        "a level is starved",
        "lane.rs",
        "self.turn = (level.index() + 1) % self.by_level.len();",
        "let _ = level;",
    ),
    bug(
        "a level waits for one that rests",
        "lane.rs",
        "rested.or_else(|| in_turn().next())",
        "in_turn().next()",
    ),
    bug(
        "best effort drops another level",
        "core.rs",
        "self.drop_oldest(Reliability::BestEffort, u64::MAX, Loss::Unreachable);",
        "for level in Reliability::ALL {
                self.drop_oldest(level, u64::MAX, Loss::Unreachable);
            }",
    ),
    bug(
        "ordered mode counts other levels",
        "lane.rs",
        "lanes.filter(|lane| lane.may_send(moment))",
        "lanes.filter(|lane| {
                let others = self.iter().any(|other| other.calls_in_flight > 0);
                lane.may_send(moment) && !(lane.is_ordered && others)
            })",
    ),
    bug(
        "batch of a mistaken level",
        "batch.rs",
        "            level,
            first,",
        "            level: if first.number() > 100 { Reliability::InMemory } else { level },
            first,",
    ),
    bug(
        "batch goes back to another level",
        "core/answers.rs",
        "let batches = &mut self.lanes.of_mut(level).batches;
        match half_bytes {",
        "let batches = &mut self.lanes.of_mut(Reliability::InMemory).batches;
        match half_bytes {",
    ),
    bug(
        "flush closes one level's batch",
        "core.rs",
        "self.lanes.iter_mut().for_each(|lane| lane.batches.seal())",
        "self.lanes.iter_mut().take(1).for_each(|lane| lane.batches.seal())",
    ),
    // Time.
    bug(
        "linger timer lost",
        "core.rs",
        "links.chain(rests).chain(lingers).chain(needless).min()",
        "links.chain(rests).chain(needless).min()",
    ),
    bug(
        "rest timer lost",
        "core.rs",
        "links.chain(rests).chain(lingers).chain(needless).min()",
        "links.chain(lingers).chain(needless).min()",
    ),
    bug(
        "request timeout lost",
        "link.rs",
        "Some(oldest + settings.request_timeout)",
        "Some(oldest + settings.request_timeout).filter(|_| false)",
    ),
    bug(
        "connection attempts never end",
        "link.rs",
        "State::Connecting { deadline } | State::Greeting { deadline } => Some(deadline),",
        "State::Greeting { deadline } => Some(deadline),
            State::Connecting { .. } => None,",
    ),
    bug(
        "rest timer busy",
        "core.rs",
        "let rests = rests.filter(|until| *until > self.now && !self.lanes.is_empty());",
        "let rests = rests.filter(|until| !self.lanes.is_empty() && !until.is_zero());",
    ),
    // Rests.
    bug(
        "rest ignored",
        "agent.rs",
        "self.rest_until > now",
        "self.rest_until > now && now.is_zero()",
    ),
    bug(
        "back-off without jitter",
        "backoff.rs",
        "self.floor + span.mul_f64(random.f64())",
        "self.floor + span",
    ),
    bug(
        "jitter before the cap",
        "backoff.rs",
        "        let span = top - self.floor;
        self.floor + span.mul_f64(random.f64())",
        "        let doubled = self.base * 2_u32.pow(failures.saturating_sub(1).min(20));
        let jittered = doubled.mul_f64(0.5 + random.f64() / 2.0);
        jittered.min(self.cap).max(self.floor).min(top)",
    ),
    bug(
        "back-off without cap",
        "backoff.rs",
        "            .min(self.cap)\n",
        "",
    ),
    bug(
        "back-off not reset by an ack",
        "agent.rs",
        "        self.failures = 0;\n",
        "",
    ),
    bug(
        "no fail-back",
        "select.rs",
        "    for group in groups(agents) {\n",
        "    if agents.iter().any(|agent| agent.is_usable(now)) {
        return None;
    }
    for group in groups(agents) {\n",
    ),
    bug(
        "no trial",
        "select.rs",
        "            if agent.is_proven() {\n",
        "            if agent.in_flight_count() > 0 {\n",
    ),
    bug(
        "sent before the handshake's answer",
        "link.rs",
        "self.state == State::Open",
        "!matches!(self.state, State::Connecting { .. })",
    ),
    bug(
        "serial numbers not started afresh",
        "link.rs",
        "next_call: CallId::FIRST,",
        "next_call: CallId::FIRST.next(),",
    ),
    // Attempts.
    bug(
        "the next agent waits for a silent one",
        "select.rs",
        "rested.any(|agent| !is_late(agent))",
        "rested.next().is_some()",
    ),
    bug(
        "the next agent is tried at once",
        "agent.rs",
        "(!is_open).then_some(began + HEAD_START)",
        "(!is_open).then_some(began)",
    ),
    bug(
        "head start's timer lost",
        "core.rs",
        "further.into_iter().chain(agent.late_at());",
        "further.into_iter();",
    ),
    bug(
        "greeting waits for the request timeout",
        "core.rs",
        "self.now + self.settings.greeting_timeout",
        "self.now + self.settings.request_timeout",
    ),
    // Several connections.
    bug(
        "one connection's end rests its agent",
        "agent.rs",
        "if self.open().next().is_none() {",
        "if self.open().count() < 2 {",
    ),
    bug(
        "last connection's end rests nobody",
        "agent.rs",
        "if self.open().next().is_none() {",
        "if self.links.is_empty() && self.failures > 0 {",
    ),
    bug(
        "further connection tried without a rest",
        "agent.rs",
        "let may_try = self.further.rest_until <= now;",
        "let may_try = self.further.rest_until <= now || self.links.len() > 1;",
    ),
    bug(
        "further connections unbounded",
        "agent.rs",
        "let has_place = self.links.len() < settings.connections_max() as usize;
        let may_try",
        "let has_place = self.links.len() <= settings.connections_max() as usize;
        let may_try",
    ),
    bug(
        "further connection beside an attempt",
        "agent.rs",
        "self.is_proven() && !is_opening",
        "self.is_proven()",
    ),
    bug(
        "no further connection after a failed one",
        "agent.rs",
        "self.further.rest_until = now + rest;",
        "self.further.rest_until = Time::MAX - rest;",
    ),
    bug(
        "only the first connection used",
        "agent.rs",
        "open.min_by_key(|link| link.in_flight_count())",
        "open.max_by_key(|link| link.in_flight_count())",
    ),
    // Shares.
    bug(
        "turns by weight ignored",
        "select.rs",
        "agent.credit += i64::from(agent.rank.weight);",
        "agent.credit += 1;",
    ),
    bug(
        "who was chosen pays nothing",
        "select.rs",
        "            chosen.credit -= total;\n",
        "",
    ),
    bug(
        "draws by weight ignored",
        "select.rs",
        "left -= i64::from(agent.rank.weight);",
        "left -= 1;",
    ),
    bug(
        "only the first of a group is connected to",
        "select.rs",
        "        let mut idle = rested.clone()",
        "        let mut idle = group.iter().take(1)",
    ),
    bug(
        "a batch goes to the agent that refused it",
        "select.rs",
        "has_room && Some(agent.id) != tried",
        "has_room",
    ),
    bug(
        "a batch never goes back to the only agent",
        "select.rs",
        "last_resort.map(Way::Free)",
        "last_resort.filter(|_| agents.len() > 1).map(Way::Free)",
    ),
    bug(
        "the last agent rests too long",
        "core.rs",
        "        if select::do_all_rest(&self.agents, self.now) {\n",
        "        if select::do_all_rest(&self.agents, self.now) {
            let ends = self.agents.iter().map(|agent| agent.rest_until);
            let last = ends.max().unwrap_or_default();
            self.agents.iter_mut().for_each(|agent| agent.rest_until = last);
",
    ),
    // What only a person can mend.
    bug(
        "blocked agent used",
        "agent.rs",
        "self.foreign.checked_sub(2)",
        "self.foreign.checked_sub(2).filter(|_| false)",
    ),
    bug(
        "one foreign answer blocks",
        "agent.rs",
        "self.foreign.checked_sub(2)",
        "self.foreign.checked_sub(1)",
    ),
    bug(
        "blocked for too long",
        "agent.rs",
        "rest.min(BLOCKED_MAX)",
        "rest * 3",
    ),
    // Idle connections.
    bug(
        "idle connection kept",
        "link.rs",
        "const IDLE_MAX: Time = Time::from_secs(60);",
        "const IDLE_MAX: Time = Time::from_secs(80);",
    ),
    bug(
        "idle connection's timer lost",
        "core.rs",
        "links.chain(rests).chain(lingers).chain(needless).min()",
        "links.chain(rests).chain(lingers).min()",
    ),
    bug(
        "idle close with calls in flight",
        "link.rs",
        "if !self.in_flight.is_empty() {",
        "if !self.in_flight.is_empty() && !self.is_open() {",
    ),
    // Old connections.
    bug(
        "old connection closed with calls in flight",
        "link.rs",
        "if !self.in_flight.is_empty() {",
        "if !self.in_flight.is_empty() && self.is_open() {",
    ),
    bug(
        "old connection closed before its successor is open",
        "link.rs",
        "State::Open if is_quiet && self.aged_at <= now",
        "State::Open if self.aged_at <= now",
    ),
    bug(
        "old connection used on",
        "agent.rs",
        "        aged.state = State::Draining;\n",
        "",
    ),
    bug(
        "connection that drains kept",
        "link.rs",
        "State::Draining => Some(Disconnect::Aged),",
        "State::Draining => None,",
    ),
    bug(
        "successor drains",
        "agent.rs",
        "others.find(|link| link.is_aged(now))?",
        "self.links.iter_mut().rev().find(|link| link.is_open())?",
    ),
    bug(
        "calls on a connection that drains not counted",
        "agent.rs",
        "self.in_flight_count() < most && self.open()",
        "self.open()",
    ),
    bug(
        "calls on a connection that drains time out never",
        "link.rs",
        "            State::Open | State::Draining => {\n                let oldest",
        "            State::Draining => None,
            State::Open => {\n                let oldest",
    ),
    bug(
        "calls lost with a connection that drains",
        "agent.rs",
        "            return Some(link);\n        }\n        self.on_failed",
        "            return None;\n        }\n        self.on_failed",
    ),
    bug(
        "old connection never replaced",
        "core.rs",
        "aged.filter(|agent| agent.needs_renewal(self.now))",
        "aged.filter(|_| false)",
    ),
    bug(
        "old connection replaced too late",
        "link.rs",
        "const AGE_MAX: Time = Time::from_secs(600);",
        "const AGE_MAX: Time = Time::from_secs(800);",
    ),
    bug(
        "old connection replaced too soon",
        "link.rs",
        "const AGE_MAX: Time = Time::from_secs(600);",
        "const AGE_MAX: Time = Time::from_secs(500);",
    ),
    bug(
        "old connection replaced twice",
        "agent.rs",
        "may_try && !is_opening && self.links",
        "may_try && self.links",
    ),
    bug(
        "successor tried without a rest",
        "agent.rs",
        "let may_try = self.further.rest_until <= now && self.is_usable(now)",
        "let may_try = self.is_usable(now)",
    ),
    // Suspension.
    bug(
        "rests go on after a suspension",
        "agent.rs",
        "        self.rest_until = self.rest_until.min(now);\n",
        "",
    ),
    bug(
        "calls lost over a suspension",
        "core.rs",
        "self.disconnect(agent, Disconnect::Woke)",
        "self.disconnect(agent, Disconnect::Woke).into_iter().take(0)",
    ),
    // Windows.
    bug(
        "window ignored",
        "link.rs",
        "self.in_flight.len() < self.window.size() as usize",
        "self.in_flight.len() <= self.window.size() as usize",
    ),
    bug(
        "window never closes",
        "window.rs",
        "if waiting > WAITING_HIGH {",
        "if waiting > 1e9 {",
    ),
    bug(
        "window never opens",
        "window.rs",
        "} else if self.round.full {",
        "} else if self.round.full && self.size > 1 {",
    ),
    bug(
        "refusal does not halve the window",
        "window.rs",
        "self.size = (self.size / 2).max(1);",
        "self.size = self.size.saturating_sub(1).max(1);",
    ),
    bug(
        "each refusal halves the window",
        "agent.rs",
        "let is_news = self.last_failure.is_none_or(|failed| sent > failed);
        if is_news {",
        "let is_news = true;
        if is_news {",
    ),
    bug(
        "idle agent never measured afresh",
        "window.rs",
        "            self.answers_since_probe = 0;
            self.fastest = None;",
        "",
    ),
    bug(
        "window frozen by another size",
        "window.rs",
        "const STRANGERS_MAX: u32 = 16;",
        "const STRANGERS_MAX: u32 = u32::MAX;",
    ),
    bug(
        "sheds all that waits",
        "core.rs",
        "left = left.saturating_sub(batch.bytes.into());",
        "left = left.max(1);",
    ),
    bug(
        "sheds too little",
        "core.rs",
        "while left > 0 {",
        "if left > 0 {",
    ),
];
