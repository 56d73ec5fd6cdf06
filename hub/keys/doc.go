// Package keys holds the master keys, which all nodes share, and derives all other keys
// from them. It imports no other package of this module. Packages hub/ticket (seals),
// hub/redisstore (secrets), hub (audit log) and api/token (tokens) use the derived keys.
package keys
