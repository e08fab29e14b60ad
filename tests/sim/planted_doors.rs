//! The bugs of the delivery core in what agents answer, and in dialects. Their simulator runs only the
//! world that is about these.

use crate::planted::Bug;

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
        words: &["--doors"],
    }
}

pub(crate) const BUGS: &[Bug] = &[
    // Unacceptable batches.
    bug(
        "unacceptable batch tried at the same agent",
        "core/answers.rs",
        "unfit: call.batch.unfit.with(agent),",
        "unfit: call.batch.unfit,",
    ),
    bug(
        "unacceptable batch rests the agent",
        "core/answers.rs",
        "            Answer::Unacceptable { half_bytes } => {\n",
        "            Answer::Unacceptable { half_bytes } => {
                self.refuse(epoch, agent, &call, Time::ZERO);\n",
    ),
    bug(
        "unacceptable try stays counted",
        "core/answers.rs",
        "                    half_bytes,
                    ..call.batch.unsent()",
        "                    half_bytes,
                    ..call.batch",
    ),
    bug(
        "single event rejected early",
        "core/answers.rs",
        "fit.all(|agent| batch.unfit.contains(agent.id))",
        "fit.any(|agent| batch.unfit.contains(agent.id))",
    ),
    bug(
        "whole batch rejected",
        "core/answers.rs",
        "if is_over && batch.events == 1 {",
        "if is_over {",
    ),
    bug(
        "unacceptable batch never halved",
        "core/answers.rs",
        "!is_kept && select::do_others_rest(agents, batch.unfit, now)",
        "!is_kept && batch.events == 1 && select::do_others_rest(agents, batch.unfit, now)",
    ),
    bug(
        "single event lost while others rest",
        "core/answers.rs",
        "let is_kept = batch.events == 1 && !is_best_effort;",
        "let is_kept = false && is_best_effort;",
    ),
    bug(
        "halves lose an event",
        "batch.rs",
        "events: self.events - first.events,",
        "events: self.events - first.events - u32::from(self.events > 2),",
    ),
    bug(
        "halves double an event",
        "batch.rs",
        "first: first.range().end,",
        "first: Seq::new(first.range().end.number() - 1),",
    ),
    bug(
        "halves keep who found them unacceptable",
        "batch.rs",
        "            unfit: AgentSet::default(),
            half_bytes: 0,
            ..self",
        "            half_bytes: 0,
            ..self",
    ),
    // What stands aside.
    bug(
        "batch aside never sent",
        "core.rs",
        "        self.send_aside();\n",
        "",
    ),
    bug(
        "nobody connected to for what stands aside",
        "core.rs",
        "std::iter::once(AgentSet::default()).chain(unfit)",
        "std::iter::once(AgentSet::default()).chain(unfit.take(0))",
    ),
    bug(
        "batch aside not shed",
        "batch.rs",
        "if let Some(aside) = self.aside.front()\n",
        "if let Some(aside) = self.aside.front().filter(|_| false)\n",
    ),
    bug(
        "batch aside not counted as pending",
        "batch.rs",
        "self.iter_queued().chain(&self.aside)",
        "self.iter_queued()",
    ),
    bug(
        "ordered mode passes what stands aside",
        "lane.rs",
        "(self.calls_in_flight > 0 || self.batches.has_aside())",
        "self.calls_in_flight > 0",
    ),
    // Blocked agents, and those that ask for a time.
    bug(
        "blocked agent taken for unacceptable events",
        "core/answers.rs",
        "                self.put_back_unsent(agent, &call);
                self.drop_unreachable();",
        "                let unfit = call.batch.unfit.with(agent);
                self.on_unacceptable(Batch { unfit, ..call.batch.unsent() });",
    ),
    bug(
        "blocked agent does not rest",
        "core/answers.rs",
        "blocked.on_blocked(call.sent, self.now, &mut self.random);",
        "let _ = blocked;",
    ),
    bug(
        "blocked agent rests as after a refusal",
        "core/answers.rs",
        "blocked.on_blocked(call.sent, self.now, &mut self.random);",
        "let _ = blocked;\n                    self.refuse(epoch, agent, &call, Time::ZERO);",
    ),
    bug(
        "time that an agent asks for ignored",
        "agent.rs",
        "if !after.is_zero() {",
        "if after > Answer::REST_MAX * 100 {",
    ),
    bug(
        "time that an agent asks for without bound",
        "agent.rs",
        "            let after = after.min(Answer::REST_MAX);\n",
        "",
    ),
    bug(
        "end of a connection shortens its agent's rest",
        "agent.rs",
        "self.rest_until = until.max(self.left_alone_until);",
        "self.rest_until = until;",
    ),
    // Doubts.
    bug(
        "doubtful batch never halved",
        "core/answers.rs",
        "(call.batch.attempts >= DOUBTS).then_some(half_bytes)",
        "(call.batch.attempts >= DOUBTS * 1000).then_some(half_bytes)",
    ),
    // Failed calls.
    bug(
        "begun bytes of a failed call called unsent",
        "core/answers.rs",
        "        match is_sent {\n",
        "        match is_sent && self.now.is_zero() {\n",
    ),
    bug(
        "unsent call called begun",
        "core/answers.rs",
        "        match is_sent {\n",
        "        match is_sent || !self.now.is_zero() {\n",
    ),
    bug(
        "connection of a failed call used on",
        "agent.rs",
        "        link.state = State::Draining;
        self.on_failed",
        "        self.on_failed",
    ),
    bug(
        "failed call rests nobody",
        "agent.rs",
        "        link.state = State::Draining;
        self.on_failed(Ending::Broken, now, backoff, random);",
        "        link.state = State::Draining;
        let _ = (now, backoff, random);",
    ),
    // Dialects.
    bug(
        "next dialect after a rest",
        "agent.rs",
        "is_misspoken && self.takes_next_dialect()",
        "is_misspoken && self.takes_next_dialect() && self.failures > 1_000",
    ),
    bug(
        "dialects tried without a rest between rounds",
        "agent.rs",
        "None => (false, self.rank.dialects.saturating_sub(1)),",
        "None => (true, self.rank.dialects.saturating_sub(1)),",
    ),
    bug(
        "dialect that worked forgotten",
        "agent.rs",
        "        self.foreign = 0;
        self.untried",
        "        self.foreign = 0;
        self.dialect = 0;
        self.untried",
    ),
    bug(
        "dialect that is met with silence tried for ever",
        "core.rs",
        "                agent.on_silent();",
        "                agent.is_idle();",
    ),
    bug(
        "dialects tried from the middle",
        "agent.rs",
        "        self.foreign = 0;
        self.untried = self.rank.dialects.saturating_sub(1);",
        "        self.foreign = 0;",
    ),
    // Renewed connections.
    bug(
        "calls on a renewed connection given back",
        "core.rs",
        "            Input::Renew { agents } => self.renew(agents),",
        "            Input::Renew { agents } => {
                let renewed: Vec<_> = self.ids().filter(|id| agents.contains(*id)).collect();
                for id in renewed {
                    for call in self.disconnect(id, Disconnect::Aged) {
                        self.lanes.of_mut(call.batch.level).calls_in_flight -= 1;
                        self.give_back(id, call, Loss::Unknown);
                    }
                }
            }",
    ),
    bug(
        "renewed connection never ends",
        "link.rs",
        "State::Draining => Some(Disconnect::Aged),",
        "State::Draining => None,",
    ),
    bug(
        "renewed again and again",
        "link.rs",
        "self.aged_at = self.aged_at.min(now + about(AGE_MAX, random));",
        "self.aged_at = self.aged_at.min(now + about(AGE_MAX, random).min(Time::from_secs(1)));",
    ),
    bug(
        "attempt under way not renewed",
        "link.rs",
        "        self.aged_at = self.aged_at.min(now);",
        "        if self.is_open() {
            self.aged_at = self.aged_at.min(now);
        }",
    ),
    bug(
        "renewed attempt forgotten when it opens",
        "link.rs",
        "self.aged_at = self.aged_at.min(now + about(AGE_MAX, random));",
        "self.aged_at = now + about(AGE_MAX, random);",
    ),
    bug(
        "renewed attempt takes its own place",
        "agent.rs",
        "self.links.iter_mut().filter(|link| link.epoch != epoch);",
        "self.links.iter_mut().filter(|_| true);",
    ),
    bug(
        "agents renewed for others",
        "core.rs",
        "renewed.filter(|agent| agents.contains(agent.id));",
        "renewed.filter(|_| !agents.is_empty());",
    ),
];
