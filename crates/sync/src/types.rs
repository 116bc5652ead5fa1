//! What the types of this crate are in TypeScript: what is in them, since nothing of them is on the wire.

use ts_rs::{Config, TS, TypeVisitor};

use crate::{Private, SyncVec, Tracked};

impl<T: TS> TS for Tracked<T> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(config: &Config) -> String {
        T::name(config)
    }

    fn inline(config: &Config) -> String {
        T::inline(config)
    }

    fn inline_flattened(config: &Config) -> String {
        T::inline_flattened(config)
    }

    fn visit_dependencies(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        T::visit_dependencies(visitor);
    }

    fn visit_generics(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        T::visit_generics(visitor);
        visitor.visit::<T>();
    }
}

impl<T: TS> TS for SyncVec<T> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(config: &Config) -> String {
        Vec::<T>::name(config)
    }

    fn inline(config: &Config) -> String {
        Vec::<T>::inline(config)
    }

    fn visit_dependencies(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        Vec::<T>::visit_dependencies(visitor);
    }

    fn visit_generics(visitor: &mut impl TypeVisitor)
    where
        Self: 'static,
    {
        Vec::<T>::visit_generics(visitor);
    }
}

/// A name of its own, by which members of this type are found and left out: the page has no use for a null.
impl<T> TS for Private<T> {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &Config) -> String {
        "Private".to_owned()
    }

    fn inline(config: &Config) -> String {
        Self::name(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_wire_is_what_is_in_them() {
        let config = Config::new().with_large_int("number");
        assert_eq!(Tracked::<Option<u64>>::name(&config), "number | null");
        assert_eq!(SyncVec::<Tracked<String>>::name(&config), "Array<string>");
        assert_eq!(Vec::<Private<String>>::name(&config), "Array<Private>");
    }
}
