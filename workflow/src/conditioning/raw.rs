//! Prompts that come as the painter wrote them.

/// A prompt as the painter wrote it, without what the plugin otherwise takes out: comments, LoRAs, layers and the choice
/// of alternatives, of which the first is taken.
pub(super) fn plain(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split_once('#').map_or(line, |(before, _)| before));
    let mut rest = lines.collect::<Vec<_>>().join("\n");
    for tag in ["<lora:", "<layer:"] {
        while let Some(start) = rest.find(tag) {
            let Some(length) = rest[start..].find('>') else { break };
            rest.replace_range(start..=start + length, "");
        }
    }
    let mut chosen = String::new();
    let mut rest = rest.as_str();
    while let Some((before, inside)) = rest.split_once('{') {
        chosen.push_str(before);
        rest = match inside.split_once('}') {
            Some((choice, after)) if choice.contains('|') && !choice.contains('{') => {
                chosen.push_str(choice.split('|').next().unwrap_or_default());
                after
            }
            _ => {
                chosen.push('{');
                inside
            }
        };
    }
    chosen.push_str(rest);
    chosen.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_raw_prompt_becomes_plain() {
        for (raw, text) in [
            ("a cat", "a cat"),
            ("a {red|blue} cat # not too large\nby night", "a red cat \nby night"),
            ("ink<lora:ink:0.8>, <layer:Sketch> {prompt} {a|b", "ink,  {prompt} {a|b"),
            ("<lora: {{x|y}}", "<lora: {x}"),
            ("{|dark }sky", "sky"),
        ] {
            assert_eq!(plain(raw), text, "{raw:?}");
        }
    }
}
