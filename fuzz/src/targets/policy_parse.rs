//! Policy documents of every kind: what is refused when it is written denies when it is loaded.

use writ_policy::{InlineOwner, Policy, PolicyKind, ResourceKind};

const KINDS: [PolicyKind; 9] = [
    PolicyKind::Boundary,
    PolicyKind::Identity,
    PolicyKind::Inline(InlineOwner::User),
    PolicyKind::Rcp,
    PolicyKind::Resource(ResourceKind::Bucket),
    PolicyKind::Resource(ResourceKind::Key),
    PolicyKind::Scp,
    PolicyKind::Session,
    PolicyKind::Trust,
];

pub(crate) fn run(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let Some(kind) = KINDS.get(usize::from(*first) % KINDS.len()) else { return };
    let loaded = Policy::load(text, *kind);
    match Policy::parse(text, *kind) {
        Ok(policy) => {
            policy.lints();
            assert!(loaded.unreadable().is_none(), "what can be written cannot be loaded");
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}
