//! The closed lists of names in the protocol.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An enumeration that is sent by name, and keeps a name that it does not know.
macro_rules! names {
    ($(#[$about:meta])* $name:ident, default $default:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// A name that this version does not know.
            Unknown(String),
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Unknown(name),
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(name) => name,
                })
            }
        }
    };
}

names! {
    /// What a request asks for.
    Kind, default Generate {
        Generate = "generate",
        Inpaint = "inpaint",
        Refine = "refine",
        RefineRegion = "refine_region",
        UpscaleSimple = "upscale_simple",
        UpscaleTiled = "upscale_tiled",
        ControlImage = "control_image",
        Custom = "custom",
    }
}

names! {
    /// What a checkpoint is, and thereby how it must be used.
    Arch, default Sd15 {
        Sd15 = "sd15",
        Sdxl = "sdxl",
        Sd3 = "sd3",
        Flux = "flux",
        FluxKontext = "flux_k",
        Flux2Klein4b = "flux2_4b",
        Flux2Klein9b = "flux2_9b",
        Illu = "illu",
        IlluV = "illu_v",
        Chroma = "chroma",
        Qwen = "qwen",
        QwenEdit = "qwen_e",
        QwenEditPlus = "qwen_e_p",
        QwenLayered = "qwen_l",
        Anima = "anima",
        ZImage = "zimage",
        Ernie = "ernie",
        Krea2 = "krea2",
    }
}

names! {
    /// What a control layer shows.
    ControlMode, default Reference {
        Reference = "reference",
        Style = "style",
        Composition = "composition",
        Face = "face",
        Inpaint = "inpaint",
        Universal = "universal",
        Scribble = "scribble",
        LineArt = "line_art",
        SoftEdge = "soft_edge",
        CannyEdge = "canny_edge",
        Depth = "depth",
        Normal = "normal",
        Pose = "pose",
        Segmentation = "segmentation",
        Blur = "blur",
        Stencil = "stencil",
        Hands = "hands",
    }
}

names! {
    /// What the painter wants of a selection.
    InpaintMode, default Automatic {
        Automatic = "automatic",
        Fill = "fill",
        Expand = "expand",
        AddObject = "add_object",
        RemoveObject = "remove_object",
        ReplaceBackground = "replace_background",
        Custom = "custom",
    }
}

names! {
    /// What a selection holds before the diffusion.
    Fill, default Neutral {
        None = "none",
        Neutral = "neutral",
        Blur = "blur",
        Border = "border",
        Replace = "replace",
        Inpaint = "inpaint",
        Green = "green",
    }
}
