//! Loops over pixels compiled a second time, for processors with wider registers.
//!
//! The program must run on every 64 bit x86 and so is compiled for the oldest; the loops are written so that the compiler turns
//! them into vector instructions, and with AVX2 these do twice the work. Which one runs is asked once per call.

/// Calls a function of this form, or the same one compiled for AVX2 where the processor has it:
/// `widest!(fn name<T: Pixel>(argument: Type, …) -> Result = body)`, with `body` the name of an `#[inline(always)]` function.
macro_rules! widest {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident<$type:ident: $bound:ident>($($argument:ident: $of:ty),* $(,)?) $(-> $result:ty)? = $body:ident) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name<$type: $bound>($($argument: $of),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide<$type: $bound>($($argument: $of),*) $(-> $result)? {
                    $body($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2, as was just asked; that is all that calling it needs.
                    return unsafe { wide($($argument),*) };
                }
            }
            $body($($argument),*)
        }
    };
}

pub(super) use widest;
