// Tells GOV.UK Frontend that scripts run, as its own template does in an inline script, and starts its components.
import { initAll, isSupported } from "/static/vendor/govuk-frontend.min.js";

document.body.classList.add("js-enabled", "govuk-frontend-supported");
if (isSupported()) {
  initAll();
}
