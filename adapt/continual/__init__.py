"""Tasks one after the other: one adapter through all, one a task, and these merged; what each keeps and loses."""
