export { Metadata } from "@grpc/grpc-js";
export { type BearerTokens, readBearerTokens, readClientToken } from "./bearer-tokens.ts";
export { type CallContext, type Cancellation, currentCall, runInCall } from "./call-context.ts";
export {
  CallCancelledError,
  CannotListenError,
  DeadlineExceededError,
  MethodUnimplementedError,
  RequestInvalidError,
  StoppingError,
  UnauthenticatedError,
} from "./call-errors.ts";
export type { CallFailure, CallObserver, CallType, ObservedMethod } from "./call-observer.ts";
export { type Channel, type ChannelOptions, openChannel } from "./channel.ts";
export { type CallOptions, type Client, type ClientDefaults, type ClientMethod, createClient } from "./client.ts";
export { HealthStatuses } from "./health.ts";
export { type CertificateFiles, ReloadingCertificates } from "./reloading-certificates.ts";
export { validateRequest } from "./request-validation.ts";
export { type ResetLimits, raiseResetLimits } from "./reset-limits.ts";
export { RpcError } from "./rpc-error.ts";
export { type DrainOptions, type GrpcServer, type GrpcServerOptions, isLoopback, startGrpcServer } from "./server.ts";
export {
  type BidiStreaming,
  type ClientStreaming,
  EncodedMessage,
  type Handler,
  type Handlers,
  implement,
  type RawPipelined,
  type RawUnary,
  rawPipelined,
  rawUnary,
  type ServerStreaming,
  type ServiceImplementation,
  type Unary,
} from "./service-implementation.ts";
export type { StatusName } from "./status-code.ts";
export { statusFromError } from "./status-from-error.ts";
export { continueTrace, type TraceContext, traceparentOf } from "./trace-context.ts";
export type { ClientTls, ServerTls } from "./transport-credentials.ts";
