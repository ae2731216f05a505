// Requests: their deadlines, their failures, an endpoint that generates text, and where the hub is.
export { inTime, late } from "./deadline.ts";
export {
  type EndpointOptions,
  type EndpointReply,
  type EndpointRequest,
  endpointKeys,
  TextEndpoint,
} from "./endpoint.ts";
export { type HubSettings, hubCacheFolder, hubSettings, hubSettingsWith } from "./hub-settings.ts";
export { discard, failureOf, retryAfter } from "./response.ts";
