"""The sections of the help of `headroles adapt`."""

SECTIONS = {
    "Model and task": (
        "model", "activation", "role_map", "task", "root", "template", "test_share", "val_share", "label",
        "class_names", "domains", "strict", "max_pixels",
    ),
    "What is trained and tested": ("method", "protocol", "shots", "seeds", "targets", "retention"),
    "Several tasks": ("tasks", "continual", "drift_images"),
    "Training": (
        "epochs", "batch", "lr", "weight_decay", "warmup_epochs", "cache_views", "select_epoch", "precision",
        "assigned",
    ),
    "DeAR: masks": (
        "mask", "mask_seed", "mask_floor", "mask_start", "mask_rate", "lambda_mask", "layer", "enter_after", "core",
    ),
    "DeAR: tokens and losses": (
        "vision_tokens", "text_tokens", "beta", "train_norm", "fusion", "alpha_cls", "lambda_image", "lambda_text",
        "lambda_fusion",
    ),
    "Other methods": ("inference",),
    "How it runs": ("device", "workers", "log", "resume", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite", "config"),
    "Lists": ("list_tasks", "list_methods"),
}  # fmt: skip
