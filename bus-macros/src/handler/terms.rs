//! What a handler must be, as traits whose messages say so.
//!
//! Each stands before a trait of the bus that is not recommended: so its message is told, and not that of a bound further in.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Path;

pub(super) fn of(krate: &Path, raw: bool) -> TokenStream {
    let (event, argument, state, result) = (event(krate), argument(krate, raw), state(krate), result(krate));
    quote! {
        #event
        #argument
        #state
        #result

        fn argument<T>() -> T {
            ::core::unreachable!()
        }

        fn sent_between_threads<F: ::core::future::Future + ::core::marker::Send>(_: F) {}
    }
}

fn event(krate: &Path) -> TokenStream {
    quote! {
        #[diagnostic::on_unimplemented(
            message = "a handler takes its event first, and `{Self}` is not `Event<T>`",
            label = "not `Event<T>`",
            note = "write `Event(event): Event<T>`, `T` the type of the event",
            note = "for messages of any type, given to `Subscription::on_raw`, write `#[gulo::handler(raw)]`"
        )]
        trait FirstOfAHandler {
            type Event;
            const OK: () = ();
        }

        #[diagnostic::do_not_recommend]
        impl<T> FirstOfAHandler for #krate::handler::Event<T> {
            type Event = T;
        }

        #[diagnostic::on_unimplemented(
            message = "`{Self}` is not an integration event",
            label = "not an `IntegrationEvent`",
            note = "give it `#[derive(Serialize, Deserialize, IntegrationEvent)]` and `#[event(type = \"..\")]`"
        )]
        trait EventOfAHandler {
            const OK: () = ();
        }

        #[diagnostic::do_not_recommend]
        impl<T: #krate::IntegrationEvent> EventOfAHandler for T {}
    }
}

fn argument(krate: &Path, raw: bool) -> TokenStream {
    let note = if raw {
        "a handler of raw messages takes up to five of `Payload`, `Message`, `Meta`, `Attempt`, `Publish`, `State<T>`, `Headers`, \
         `Origin` and types with `gulo::handler::FromContext`"
    } else {
        "beside its event a handler takes up to four of `Meta`, `Attempt`, `Publish`, `State<T>`, `Headers`, `Message`, `Payload`, \
         `Origin` and types with `gulo::handler::FromContext`"
    };
    quote! {
        #[diagnostic::on_unimplemented(
            message = "a handler cannot take `{Self}`",
            label = "not what a handler takes",
            note = #note,
            note = "a value of your own is given to the bus by `.state(..)` and taken as `State<{Self}>`"
        )]
        trait TakenByAHandler {
            const OK: () = ();
        }

        #[diagnostic::do_not_recommend]
        impl<T: #krate::handler::FromContext> TakenByAHandler for T {}
    }
}

fn state(krate: &Path) -> TokenStream {
    quote! {
        #[diagnostic::on_unimplemented(
            message = "`{Self}` cannot be a handler's state",
            label = "not `Clone`",
            note = "each message gets a clone of it: give `{Self}` a `#[derive(Clone)]`, or write `State<Arc<{Self}>>`"
        )]
        trait StateOfAHandler {
            const OK: () = ();
        }

        #[diagnostic::do_not_recommend]
        impl<T: ::core::clone::Clone> StateOfAHandler for T {}

        fn shared_between_threads<T: ::core::marker::Sync + 'static>() {}

        struct OfAHandler<T>(T);

        // Before that of the trait below: what is wrong with the `T` of a `State<T>` has been told.
        impl<T> OfAHandler<#krate::handler::State<T>> {
            fn take() {}
        }

        trait OtherThanState<T> {
            fn take()
            where
                T: TakenByAHandler,
            {
            }
        }

        impl<T> OtherThanState<T> for OfAHandler<T> {}
    }
}

fn result(krate: &Path) -> TokenStream {
    let error = "`E` is `HandlerError`, any `std::error::Error + Send + Sync + 'static`, a text or an `anyhow::Error`; of all else \
                 make one: `HandlerError::new(error.to_string())`";
    quote! {
        #[diagnostic::on_unimplemented(
            message = "a handler cannot return `{Self}`",
            label = "not what a handler returns",
            note = "a handler returns `()`, `Result<(), E>` or `Outcome`",
            note = #error
        )]
        trait ReturnedByAHandler {
            const OK: () = ();
        }

        #[diagnostic::do_not_recommend]
        impl<T: #krate::handler::IntoHandlerResult> ReturnedByAHandler for T {}

        #[diagnostic::on_unimplemented(
            message = "a handler cannot fail with `{Self}`",
            label = "not an error that a handler returns",
            note = "a handler returns `()`, `Result<(), E>` or `Outcome`",
            note = #error
        )]
        trait ErrorOfAHandler {
            const OK: () = ();
        }

        #[diagnostic::do_not_recommend]
        impl<T: ::core::convert::Into<#krate::handler::HandlerError>> ErrorOfAHandler for T {}
    }
}
