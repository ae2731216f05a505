export * from "@tunesmith/sdk";
