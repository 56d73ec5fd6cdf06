// Package deploytest tests what deploy ships (images, proxies, Redis, units), the
// documents with their commands, and the examples. Directory sources tests the source
// text itself: its language, imports and sizes. It exports nothing.
package deploytest
