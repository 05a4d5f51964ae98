// Times are written as the page's language has them, in the way of the reader's country where the browser names one.
const page = document.documentElement.lang || "en";
export const LOCALE = navigator.languages.find((tag) => tag.split("-")[0] === page) ?? page;
