/* SPDX-License-Identifier: MIT */
/*
 * etc_services.h - the /etc/services of a guest whose root is made for it.
 *
 * The C library has no names of ports of its own: without the file,
 * getaddrinfo("host", "http", ...) finds none.
 *
 * Layer: tools; services/agent too.
 */
#ifndef TOOLS_ETC_SERVICES_H
#define TOOLS_ETC_SERVICES_H

#define ETC_SERVICES                                                               \
	"echo\t\t7/tcp\necho\t\t7/udp\ndiscard\t\t9/tcp\ndiscard\t\t9/udp\n"      \
	"ftp-data\t20/tcp\nftp\t\t21/tcp\nssh\t\t22/tcp\ntelnet\t\t23/tcp\n"       \
	"smtp\t\t25/tcp\tmail\ntime\t\t37/tcp\ntime\t\t37/udp\n"                   \
	"domain\t\t53/tcp\ndomain\t\t53/udp\ntftp\t\t69/udp\n"                     \
	"http\t\t80/tcp\twww\nkerberos\t88/tcp\nkerberos\t88/udp\n"                \
	"pop3\t\t110/tcp\nsunrpc\t\t111/tcp\nsunrpc\t\t111/udp\nnntp\t\t119/tcp\n" \
	"ntp\t\t123/udp\nimap2\t\t143/tcp\timap\nsnmp\t\t161/udp\n"                \
	"ldap\t\t389/tcp\nhttps\t\t443/tcp\nhttps\t\t443/udp\n"                    \
	"submission\t587/tcp\nsyslog\t\t514/udp\nldaps\t\t636/tcp\n"               \
	"domain-s\t853/tcp\nrsync\t\t873/tcp\nimaps\t\t993/tcp\npop3s\t\t995/tcp\n" \
	"mysql\t\t3306/tcp\npostgresql\t5432/tcp\tpostgres\n"                      \
	"mqtt\t\t1883/tcp\nxmpp-client\t5222/tcp\nredis\t\t6379/tcp\n"             \
	"http-alt\t8080/tcp\twebcache\n"

#endif /* TOOLS_ETC_SERVICES_H */
