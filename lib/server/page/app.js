import { Announcer } from "./announcer.js";
import { ApiFailure, listModels, storedKey } from "./api.js";
import { Conversation } from "./conversation.js";
import { byId, element, setText } from "./dom.js";
import { count } from "./format.js";
import { KeyForm } from "./key-form.js";
import { Panel } from "./panel.js";

const prompt = byId("prompt", HTMLTextAreaElement);
const send = byId("send", HTMLButtonElement);
const stop = byId("stop", HTMLButtonElement);
const status = byId("status", HTMLElement);
const tier = byId("tier", HTMLSelectElement);
const log = byId("log", HTMLElement);
const empty = byId("empty", HTMLElement);
const announcer = new Announcer(byId("announcements", HTMLElement));
const panel = new Panel();
const keyForm = new KeyForm(connect);

const conversation = new Conversation(log, {
  onBegin() {
    announcer.begin();
    setText(status, "Answering.");
    showRunning(true);
  },
  onText(text) {
    announcer.add(text);
  },
  onEnd(view, outcome) {
    announcer.end();
    const endings = {
      finished: "The answer is complete.",
      stopped: "Stopped.",
      failed: "The answer failed.",
    };
    setText(status, `${endings[outcome]} ${count(view.content.length)} characters.`);
    showRunning(false);
  },
  onKeyNeeded() {
    keyForm.ask();
  },
});

/** @param {boolean} isRunning */
function showRunning(isRunning) {
  // The focus goes along when its button is hidden.
  const hadFocus = document.activeElement === stop;
  stop.hidden = !isRunning;
  send.disabled = isRunning;
  if (hadFocus) prompt.focus();
}

/** Fields of a request that the settings make. */
function requestOptions() {
  const temperature = byId("temperature", HTMLInputElement).valueAsNumber;
  const maxTokens = byId("max-tokens", HTMLInputElement).valueAsNumber;
  const speculation = byId("drafts", HTMLInputElement).checked ? "auto" : "off";
  return {
    model: tier.value,
    ...(Number.isNaN(temperature) ? {} : { temperature }),
    ...(Number.isNaN(maxTokens) ? {} : { max_tokens: maxTokens }),
    air: { live: true, speculation },
  };
}

function ask() {
  const question = prompt.value.trim();
  if (question === "" || conversation.isRunning) return;
  empty.remove();
  prompt.value = "";
  void conversation.ask(question, requestOptions());
}

/** Reads the tiers, and begins to read reports; false when the server wants another key. */
async function connect() {
  try {
    const names = await listModels();
    const chosen = tier.value;
    tier.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    tier.value = names.includes(chosen) ? chosen : "auto";
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) return false;
  }
  void panel.start();
  return true;
}

byId("ask", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
stop.addEventListener("click", () => {
  conversation.stop();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (conversation.isRunning) conversation.stop();
  else byId("settings", HTMLDetailsElement).open = false;
});
byId("clear", HTMLButtonElement).addEventListener("click", () => {
  conversation.clear();
  log.append(empty);
  setText(status, "New conversation.");
  prompt.focus();
});
// Where there is little room, the instruments are folded to begin with.
byId("panel", HTMLDetailsElement).open = matchMedia("(min-width: 60rem)").matches;

if (await connect()) {
  if (storedKey() !== "") keyForm.accepted();
  prompt.focus();
} else keyForm.ask();
