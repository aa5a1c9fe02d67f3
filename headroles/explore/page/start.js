// The local page: the module that notebooks use too, asking the server that it came from.

import { fetched, mount } from "./explore.js";

mount(document.getElementById("explore"), fetched("ask"));
