// A small JSON post. Resolves to "" when it was done, else to the words that say why not.
const PATIENCE_MS = 15_000;

export async function post(path, said = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": cookie("csrftoken") },
      body: JSON.stringify(said),
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    return error.name === "TimeoutError"
      ? gettext("The server did not answer. Look whether it arrived before you try again.")
      : gettext("Offline: nothing was sent. Try again when the line is back.");
  }
  if (answer.ok) return "";
  if (answer.status === 400) return (await answer.json().catch(() => ({}))).error ?? gettext("The server could not read this.");
  if (answer.type === "opaqueredirect") return gettext("You are logged out. Log in in another tab, then try again.");
  if (answer.status === 403) return gettext("This page is too old to send anything. Copy your words and reload it.");
  if (answer.status === 404) return gettext("This is not there any more, or no longer yours to do.");
  return interpolate(gettext("The server could not do it (%s). Try again."), [answer.status]);
}

export function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
