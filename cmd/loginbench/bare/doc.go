// Package bare is the smallest hub that passes a login from a phone to a page on
// another node. It uses the hub's libraries as their READMEs show them, with as
// many exchanges with Redis and messages per login as the hub. loginbench
// compares the hub with it. It is not for production.
//
// It checks no secret, calls no provider, seals and signs nothing, has no limits,
// no log and no metrics, and does not detect a lost message.
package bare
