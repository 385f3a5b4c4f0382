/** People before the operator's page, in a process of their own: each reads its event stream. Started by contenders/operator.ts. */
import { request } from "node:http";
import { serve } from "./child.js";

/** How many, and where. The first looks at all hosts, each of the others at one of them. */
export interface ViewersQuestion {
  readonly port: number;
  readonly viewers: number;
  readonly hostIds: readonly string[];
}

serve(async ({ port, viewers, hostIds }: ViewersQuestion): Promise<number> => {
  const opened = Array.from({ length: viewers }, (_, number) => {
    const hostId = hostIds[number - 1];
    return new Promise<void>((resolve, reject) => {
      const path = hostId === undefined ? "/live" : `/live?host=${hostId}`;
      const outgoing = request({ host: "127.0.0.1", port, path }, (response) => {
        response.on("data", () => resolve());
        response.on("error", () => {});
      });
      outgoing.on("error", reject).end();
    });
  });
  await Promise.all(opened);
  return viewers;
});
