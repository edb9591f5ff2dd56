//! What the benches and the comparison with the peers share: which settings a kernel's name stands for.

/// Every kernel that is a chain.
pub const KERNELS: [&str; 8] = ["equalizer", "de_esser", "multiband", "exciter", "widener", "glue", "limiter", "chain"];

/// The chain that a kernel's name stands for, as JSON: settings as close to the peers' as both have words for.
pub fn kernel_preset(kernel: &str) -> Option<&'static str> {
    Some(match kernel {
        "multiband" => {
            r#"{"modules":[{"type":"multiband","crossovers_hz":[120,1200,6000],"bands":[
                {"threshold_db":-24,"ratio":2,"attack_ms":10,"release_ms":150},{"threshold_db":-24,"ratio":2,"attack_ms":10,"release_ms":150},
                {"threshold_db":-24,"ratio":2,"attack_ms":10,"release_ms":150},{"threshold_db":-24,"ratio":2,"attack_ms":10,"release_ms":150}]}]}"#
        }
        "equalizer" => {
            r#"{"modules":[{"type":"equalizer","bands":[
                {"kind":"high_pass","frequency_hz":30},{"kind":"low_shelf","frequency_hz":100,"gain_db":1.5},
                {"kind":"peak","frequency_hz":400,"gain_db":-1.5,"q":1},{"kind":"peak","frequency_hz":3000,"gain_db":1,"q":1},
                {"kind":"high_shelf","frequency_hz":10000,"gain_db":1.5}]}]}"#
        }
        "de_esser" => r#"{"modules":[{"type":"de_esser"}]}"#,
        "exciter" => r#"{"modules":[{"type":"exciter","frequency_hz":3000,"even_db":-24,"odd_db":-24}]}"#,
        "widener" => r#"{"modules":[{"type":"widener","width":1.2,"mono_below_hz":120}]}"#,
        "glue" => r#"{"modules":[{"type":"glue","threshold_db":-18,"ratio":2,"attack_ms":10,"release_ms":150}]}"#,
        // The whole chain in fixed numbers: what the planner writes for a balanced mix.
        "chain" => {
            r#"{"modules":[{"type":"de_esser"},{"type":"equalizer","bands":[
                {"kind":"high_pass","frequency_hz":30},{"kind":"low_shelf","frequency_hz":100,"gain_db":1.5},
                {"kind":"peak","frequency_hz":400,"gain_db":-1.5,"q":1},{"kind":"high_shelf","frequency_hz":10000,"gain_db":1.5}]},
                {"type":"multiband","crossovers_hz":[120,1200,6000],"bands":[{"ratio":2},{"ratio":2},{"ratio":2},{"ratio":2}]},
                {"type":"exciter","frequency_hz":3000,"even_db":-24,"odd_db":-24},{"type":"widener","width":1.2,"mono_below_hz":120},
                {"type":"glue","ratio":1.5},{"type":"gain","gain_db":3},{"type":"limiter"}]}"#
        }
        // What ffmpeg's chain of the comparison has before its loudness filter.
        "colour" => {
            r#"{"modules":[{"type":"de_esser"},
                {"type":"multiband","crossovers_hz":[120,1200,6000],"bands":[{"ratio":2},{"ratio":2},{"ratio":2},{"ratio":2}]},
                {"type":"exciter","frequency_hz":3000,"even_db":-24,"odd_db":-24},{"type":"widener","width":1.2,"mono_below_hz":120}]}"#
        }
        "limiter" => r#"{"modules":[{"type":"limiter","ceiling_dbtp":-1}]}"#,
        _ => return None,
    })
}
