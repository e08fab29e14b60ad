//! The bugs of what lies between callers, disk and agents, each one replacement in one of its files.

use crate::planted::Bug;

const fn bug(
    name: &'static str,
    folder: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Bug {
    Bug {
        name,
        folder,
        file,
        find,
        replace,
    }
}

pub(crate) const BUGS: &[Bug] = &[
    // Wake-ups that are lost.
    bug(
        "an event wakes nobody",
        "queue",
        "intake.rs",
        "    let waker = state.lanes[level].waker_if_due();\n",
        "    let waker = state.lanes[level].waker_if_due().filter(|_| false);\n",
    ),
    bug(
        "what is stored wakes nobody",
        "queue",
        "handover.rs",
        "            state.segments = segments.into();\n        }\n        wake(state, |state| state.sender.take());",
        "            state.segments = segments.into();\n        }",
    ),
    bug(
        "what is retired wakes nobody",
        "queue",
        "handover.rs",
        "if events >= *wanted);",
        "if events >= *wanted && false);",
    ),
    bug(
        "a commit wakes nobody",
        "queue",
        "stored.rs",
        "        wakeup::wake(woken.into_values());",
        "        drop(woken);",
    ),
    bug(
        "room wakes nobody",
        "queue",
        "intake.rs",
        "            wakers.extend(wait.promise.fulfil(()));",
        "            drop(wait.promise.fulfil(()));",
    ),
    bug(
        "the end of a flush wakes nobody",
        "sender",
        "mod.rs",
        "            wakeup::wake(flush.promise.fulfil(result));",
        "            drop(flush.promise.fulfil(result));",
    ),
    bug(
        "the sender sleeps past its next read",
        "sender",
        "dispatch.rs",
        "        core.into_iter().chain(backlogs).min()",
        "        drop(backlogs);\n        core",
    ),
    bug(
        "the committer sleeps past its next try",
        "committer",
        "mod.rs",
        "        let retry = self.retry.map(|(at, _)| at);",
        "        let retry = None;",
    ),
    // Order and durability.
    bug(
        "told to be stored before the flush",
        "committer",
        "mod.rs",
        "            self.partners.mark.advance(self.log.settled_upto());",
        "            self.partners.mark.advance(self.log.next());",
    ),
    bug(
        "chunks forgotten before they can be read",
        "queue",
        "handover.rs",
        "        state.readable_upto = state.readable_upto.max(upto);\n",
        "",
    ),
    bug(
        "events in memory overtake those on the disk",
        "queue",
        "handover.rs",
        "            Some(chunk) if chunk.first == position => {",
        "            Some(_) => {",
    ),
    bug(
        "new segments are not told",
        "committer",
        "mod.rs",
        "        let changed = self.saved || self.newest_segment != self.log.newest_segment();",
        "        let changed = false;",
    ),
    bug(
        "the sender never learns that all is stored",
        "committer",
        "mod.rs",
        "            self.partners.handover.drained();\n",
        "",
    ),
    // Numbers.
    bug(
        "retired across a gap",
        "queue",
        "handover.rs",
        "            Some(last) if last.end == range.first => last.end = range.end,",
        "            Some(last) if last.end <= range.first => last.end = range.end,",
    ),
    bug(
        "adopted events retired under the client's own numbers",
        "sender",
        "updates.rs",
        "            for (range, _, outcome) in adopted.retired.drain(..) {\n                state.retire_adopted(range.len(), outcome, now);",
        "            for (range, bytes, outcome) in adopted.retired.drain(..) {\n                let level = Reliability::EndToEnd;\n                state.retire(level, range, bytes, outcome, now, &mut self.wakers);",
    ),
    bug(
        "what is retired of an adopted place is not noted",
        "committer",
        "adoption.rs",
        "            self.log.retire(*range);",
        "            let _ = range;",
    ),
    bug(
        "the cursor is not saved",
        "committer",
        "mod.rs",
        "                self.save_within(SAVE_AFTER);\n            }\n            if !self.uncommitted",
        "            }\n            if !self.uncommitted",
    ),
    // Sizes.
    bug(
        "room counted twice",
        "queue",
        "room.rs",
        "        self.uncounted -= report.counted;\n",
        "",
    ),
    bug(
        "room of what came in not counted",
        "queue",
        "room.rs",
        "            room.uncounted += frame_bytes;\n",
        "            let _ = (room, frame_bytes);\n",
    ),
    bug(
        "what was retired is held for ever",
        "sender",
        "backlog.rs",
        "        self.held -= bytes;\n",
        "        let _ = bytes;\n",
    ),
    // Store on failure.
    bug(
        "what no agent takes stays in memory",
        "committer",
        "spill.rs",
        "        let has_waited = memory.agents_rest && oldest + SPILL_AFTER <= now;",
        "        let has_waited = false;",
    ),
    bug(
        "agents that rest wake nobody",
        "queue",
        "handover.rs",
        "            let committer = state.committer.take_if(|_| rest);",
        "            let committer = state.committer.take_if(|_| false);",
    ),
    bug(
        "what is in memory is given up at the close",
        "committer",
        "spill.rs",
        "        } else if is_ending {",
        "        } else if is_ending && false {",
    ),
    bug(
        "events go to the disk for ever",
        "committer",
        "mod.rs",
        "            spill.ends();\n",
        "            let _ = spill;\n",
    ),
    bug(
        "what was acknowledged in memory is not noted before a spill",
        "committer",
        "mod.rs",
        "            self.save_within(Duration::ZERO);\n            self.save(finishing);\n",
        "",
    ),
    // Levels beside each other.
    bug(
        "a taker sleeps past events of another level",
        "sender",
        "mod.rs",
        "            let takes = takes_from_callers(level);\n            if takes &&",
        "            let takes = level == self.config.reliability;\n            if takes && takes_from_callers(level) &&",
    ),
    bug(
        "what is on the disk is given up with what is in memory",
        "sender",
        "mod.rs",
        "            if takes_from_callers(level) {\n                self.own.step(now, Input::Abandon { level });",
        "            {\n                self.own.step(now, Input::Abandon { level });",
    ),
    bug(
        "an event goes into the lane of another level",
        "queue",
        "state.rs",
        "        let lane = &mut self.lanes[level];\n        let (number, bytes) = lane.push(",
        "        let lane = &mut self.lanes[Reliability::InMemory];\n        let (number, bytes) = lane.push(",
    ),
    bug(
        "receipts of one level are told of another's events",
        "queue",
        "state.rs",
        "        lane.counts.retire(range.len(), outcome);\n        lane.receipts.resolve(range, outcome, wakers);",
        "        lane.counts.retire(range.len(), outcome);\n        let lane = &mut self.lanes[Reliability::EndToEnd];\n        lane.receipts.resolve(range, outcome, wakers);",
    ),
    bug(
        "who waits for an event wakes nobody",
        "queue",
        "awaited.rs",
        "            wakeup::wake(sender);",
        "            drop(sender);",
    ),
    bug(
        "what nobody waits for is sent before it is stored",
        "committer",
        "mod.rs",
        "let awaited = self.partners.intake.awaited.upto()[self.level];",
        "let awaited = Seq::MAX;",
    ),
    bug(
        "what store on failure hands on is not logged",
        "committer",
        "uncommitted.rs",
        "            if place == self.logged {\n                log(&chunk);",
        "            if place == self.logged {",
    ),
    bug(
        "the core is not told who waits",
        "sender",
        "mod.rs",
        "                self.own.step(now, Input::Await { level, upto });",
        "                let _ = upto;",
    ),
];
