package api

import "loginhub/api/qr"

// RenderLimiter returns the limiter of renderings. Tests take its slots.
func (s *Server) RenderLimiter() *qr.RenderLimiter { return s.login.RenderLimiter }
