// Package qr draws QR codes as SVG and PNG, with a logo if there is one, bounds
// how many are drawn at the same time, and keeps mini-program codes.
//
// What a code contains and who may request it is up to the caller.
package qr
