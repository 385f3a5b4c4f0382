/** The operator's page: begins here, in the browser. Bundled by esbuild into dist/page/, served by src/dashboard/. */
import { render } from "preact";
import { App } from "./app.js";
import "uplot/dist/uPlot.min.css";
import "./page.css";

render(<App />, document.getElementById("page")!);
