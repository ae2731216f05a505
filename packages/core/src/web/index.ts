// Requests: their deadlines, their failures, and an endpoint that generates text.
export { inTime, late } from "./deadline.ts";
export {
  type EndpointOptions,
  type EndpointReply,
  type EndpointRequest,
  endpointKeys,
  TextEndpoint,
} from "./endpoint.ts";
export { discard, failureOf, retryAfter } from "./response.ts";
