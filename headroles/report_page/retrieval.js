function retrievalSection() {}
