//! The words of the sign-in's pages, in each language.

use web::Phrase;

/// A phrase in English and in Chinese.
const fn phrase(en: &'static str, zh: &'static str) -> Phrase {
    Phrase { en, zh }
}

/// All words of the pages, so that a test can look at each.
macro_rules! phrases {
    ($(#[$when:meta])* $list:ident: $($name:ident = $en:expr, $zh:expr;)*) => {
        $(pub(crate) const $name: Phrase = phrase($en, $zh);)*
        /// All of the above.
        $(#[$when])*
        pub(crate) const $list: &[Phrase] = &[$($name),*];
    };
}

phrases! { #[cfg(test)] PAGES:
    LET_IN = "Let Krita in?", "允许 Krita 登录吗？";
    ASKS = "A program asks to paint on your studio’s machines in your name.", "有一个程序请求以您的名义在工作室的机器上绘画。";
    DEVICE = "Device", "设备";
    ADDRESS = "Address", "地址";
    YOU = "You", "您";
    ELSEWHERE = "This sign-in was started from another network", "此登录是从另一个网络发起的";
    BEWARE = " than this browser’s ({}). If you did not start it yourself in Krita a moment ago, somebody may be trying to \
        paint at your studio’s expense: close this page.",
        "，与此浏览器的网络（{}）不同。如果不是您自己刚才在 Krita 中发起的，可能有人想用您工作室的资源绘画：请关闭此页面。";
    YES = "Yes, let it in", "是，允许登录";
    STAY = " Keep me signed in here for 12 hours, to see my account and pictures. Not on a shared computer.",
        " 在此浏览器中保持登录 12 小时，以便查看我的账户和图片。请勿在共用电脑上使用。";
    AT_PROVIDER = "Sign in with your studio account", "使用工作室账户登录";
    OR = "or", "或";
    NOT_ME = "If you did not start this in Krita, just close this page: without your answer nothing happens.",
        "如果这不是您在 Krita 中发起的，关闭此页面即可：没有您的确认，什么都不会发生。";
    INVITATION = "Your invitation", "您的邀请码";
    YOUR_STUDIO = "Your studio", "您的工作室";
    YOUR_ACCOUNT = "Your account", "您的账户";
    TO_STUDIO = "Sign in to see your studio’s machines and pictures.", "登录后可查看工作室的机器和图片。";
    TO_ACCOUNT = "Sign in to see what is left of this month, your devices, and your pictures of the last days.",
        "登录后可查看本月剩余额度、您的设备以及最近几天的图片。";
    SIGN_IN = "Sign in", "登录";
    HOW = "When you sign in from Krita, tick “Keep me signed in here”, and this page opens by itself for 12 hours. \
        Otherwise {} makes an invitation for you.",
        "从 Krita 登录时勾选“在此浏览器中保持登录”，此页面便会在 12 小时内自动打开。否则请让{}为您生成邀请码。";
    SOMEBODY = "whoever looks after Atelier at your studio", "工作室里负责 Atelier 的人";
    SIGNED_IN = "You are signed in", "您已登录";
    GO_BACK = " may paint now. Go back to Krita and close this page.", " 现在可以绘画了。请回到 Krita 并关闭此页面。";
    SEE_ACCOUNT = "See your account", "查看您的账户";
    RECORDED = "Your team records how pictures come to be, for teaching: each request, what was sent, what came, and what you took \
        of it. Whoever leads your team can look at it. You may stop it and delete it on the studio’s page, under “How your \
        pictures came to be”.",
        "您的团队出于教学目的会记录图片的创作过程：每次请求、发送的内容、得到的图片以及您采用的结果。团队负责人可以查看这些记录。\
        您可以在工作室页面的“How your pictures came to be”中停止记录并将其删除。";
    BAD_INVITATION = "This invitation is not good: it was used, has ended, or was mistyped. Ask for a new one.",
        "此邀请码无效：它已被使用、已过期，或输入有误。请索取新的邀请码。";
}

phrases! { PROBLEMS:
    ENDED = "This sign-in has ended. Start it again in Krita.", "此次登录已结束。请在 Krita 中重新开始。";
    TOO_MANY = "Too many sign-ins came from your network at once. Try again in {} s.",
        "您的网络同时发起的登录过多。请在 {} 秒后重试。";
    BY_INVITATION = "This studio signs in by invitation. Start again in Krita.", "此工作室使用邀请码登录。请在 Krita 中重新开始。";
    OTHER_BROWSER = "This answer is not for a sign-in of this browser. Start it again in Krita, and allow cookies.",
        "此回应不属于这个浏览器的登录。请在 Krita 中重新开始，并允许使用 Cookie。";
    NOT_LET_IN = "Your studio’s sign-in service did not let you in ({}). Start again in Krita, or use an invitation.",
        "工作室的登录服务没有允许您登录（{}）。请在 Krita 中重新开始，或使用邀请码。";
    SAME_ADDRESS = "Somebody else has signed in with your e-mail address before. Ask whoever looks after Atelier to run \
        ops user set {} --email {}",
        "已有其他人用您的电子邮件地址登录过。请让负责 Atelier 的人运行 ops user set {} --email {}";
    NO_ACCOUNT = "Your studio knows you, but you have no account here yet. Ask whoever looks after Atelier to run \
        ops user add YOUR-NAME {}",
        "工作室认识您，但您在这里还没有账户。请让负责 Atelier 的人运行 ops user add YOUR-NAME {}";
    SILENT = "Your studio’s sign-in service does not answer as it should. Try again in a minute, or use an invitation.",
        "工作室的登录服务没有正常回应。请一分钟后重试，或使用邀请码。";
    LATE = "This answer was used before, or came too late. Start again in Krita.",
        "此回应已被使用过，或来得太迟。请在 Krita 中重新开始。";
    NOT_TRUSTED = "Your studio’s sign-in service sent an answer that cannot be trusted. Start again in Krita; if it happens \
        again, tell whoever looks after Atelier.",
        "工作室的登录服务发来了不可信的回应。请在 Krita 中重新开始；如果再次发生，请告诉负责 Atelier 的人。";
    // Words of what all functions share, which nobody else says to a person.
    OTHER_PAGE = "This was sent by another web page. Open your account yourself and try again.",
        "这是由另一个网页发来的。请自己打开您的账户并重试。";
    OLD_PAGE = "This page is old. Open your account again, then repeat what you did.",
        "此页面已过时。请重新打开您的账户，然后再做一次。";
    UNAVAILABLE = "The server has a problem at the moment. Please try again.", "服务器暂时有问题。请重试。";
    BROKEN = "The server cannot do this. Please tell whoever looks after it.", "服务器无法完成此操作。请告诉负责它的人。";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_there_in_each_language() {
        for it in PAGES.iter().chain(PROBLEMS) {
            assert!(
                !it.en.is_empty() && it.en.is_ascii() | it.en.contains(['’', '“']),
                "{}",
                it.en
            );
            assert!(
                it.zh.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)),
                "{} is not in Chinese",
                it.en
            );
            assert_eq!(it.en.matches("{}").count(), it.zh.matches("{}").count(), "{}", it.en);
        }
    }
}
