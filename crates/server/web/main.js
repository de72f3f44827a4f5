// The page: its parts, and what they tell each other.

import { notices, read, useKey } from "./api.js";
import { Chat } from "./chat.js";
import { byId, element } from "./element.js";
import { LiveFigures } from "./live.js";
import { RequestTable } from "./requests.js";
import { counted } from "./units.js";
import { drawOff, drawReport } from "./zones.js";

const requests = new RequestTable(byId("requests"), byId("detail"));
const chat = new Chat({
  onReport: (report, cost) => drawReport(byId("budget"), report, cost),
  onOff: (usage) => drawOff(byId("budget"), usage),
});
const live = new LiveFigures(byId("live"), {
  onChange: () => requests.refresh(),
  onConnection: (text) => {
    byId("connection").textContent = text;
  },
});

async function loadModels() {
  const select = byId("model");
  try {
    const models = (await read("/v1/models")).data;
    const showWindow = () => {
      const model = models.find(({ id }) => id === select.value);
      byId("window").textContent = model ? `window ${counted(model.max_model_len, "token")}` : "";
    };
    select.replaceChildren(...models.map(({ id }) => element("option", { value: id }, id)));
    select.disabled = false;
    select.onchange = showWindow;
    showWindow();
  } catch (error) {
    byId("window").textContent = error.message;
  }
}

notices.addEventListener("key-wanted", () => {
  const form = byId("key-form");
  if (!form.hidden) return;
  form.hidden = false;
  byId("key").focus();
});

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  byId("key").value = "";
  byId("key-form").hidden = true;
  byId("prompt").focus();
  loadModels();
  requests.refresh();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  // An answer that is coming is what one most likely wants to end.
  if (chat.stop() || requests.close()) event.preventDefault();
});

loadModels();
live.start();
byId("prompt").focus();
