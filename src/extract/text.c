#include "config.h"

#include <string.h>

#include "src/extract/doc.h"

int extract_text(struct doc *d, const char *s, size_t n)
{
	bool pages = memchr(s, '\f', n) != NULL;

	if (pages)
		doc_page(d, 1);
	return doc_raw(d, s, n, pages);
}
