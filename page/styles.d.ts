/** Style sheets are imported for esbuild, which gathers them into dashboard.css. */
declare module "*.css";
