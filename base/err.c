#include "config.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define ERR_MAX 1024	/* a path of PATH_MAX is cut, its reason is not worth more */

static _Thread_local char err_text[ERR_MAX];

int err_set(int code, const char *fmt, ...)
{
	char text[ERR_MAX];	/* an argument may point into err_text */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(err_text, text, sizeof(text));
	return code;
}

int err_within(int code, const char *fmt, ...)
{
	char prefix[ERR_MAX], text[2 * ERR_MAX + 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s: %s", prefix, err_text);
	memcpy(err_text, text, sizeof(err_text));
	err_text[ERR_MAX - 1] = 0;
	return code;
}

const char *err_msg(void)
{
	return err_text;
}

void err_clear(void)
{
	err_text[0] = 0;
}

const char *err_name(int code)
{
	static const char *const names[] = {
		"ok", "out of memory", "invalid argument", "input/output error",
		"not found", "malformed data", "unsupported", "busy", "full",
		"limit reached", "cancelled", "network error",
		"embedder does not match", "newer version", "corrupt", "denied",
	};
	unsigned i = (unsigned)-code;

	return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown error";
}
