GREETING = "what nobody asked for"
