// What the report's parts expect around them, and is otherwise here: heads have no address of their own.
const location = { protocol: "about:", hash: "" };
