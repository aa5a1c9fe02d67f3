// The numbers of this page, as JSON in its own element.

const data = JSON.parse(document.getElementById("data").textContent);
