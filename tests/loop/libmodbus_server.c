/* A Modbus server made of libmodbus: `libmodbus_server tcp`, or `libmodbus_server rtu TTY UNIT`.
   Says "ready PORT" (0 on a serial line) once it listens; ends when its input ends. */
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 2000 };

static int over(int fd) {
    struct pollfd both[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (poll(both, 2, -1) < 0) return 1;
    return both[1].revents != 0;
}

static void serve(modbus_t *line, modbus_mapping_t *map) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    while (!over(modbus_get_socket(line))) {
        int length = modbus_receive(line, query);
        if (length > 0) modbus_reply(line, query, length, map);
        else if (length < 0 && errno != EMBBADCRC && errno != ETIMEDOUT) return;
    }
}

int main(int count, char **words) {
    int tcp = count == 2 && strcmp(words[1], "tcp") == 0;
    if (!tcp && count != 4) return 2;
    modbus_mapping_t *map = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);
    modbus_t *line = tcp ? modbus_new_tcp("127.0.0.1", 0) : modbus_new_rtu(words[2], 115200, 'N', 8, 1);
    if (!map || !line) return 1;
    for (int k = 0; k < SIZE; k++) {
        map->tab_input_registers[k] = (uint16_t) (k * 31);
        map->tab_input_bits[k] = k % 3 == 0;
    }
    if (!tcp) {
        if (modbus_set_slave(line, atoi(words[3])) || modbus_connect(line)) return 1;
        printf("ready 0\n");
        fflush(stdout);
        serve(line, map);
        return 0;
    }
    int listening = modbus_tcp_listen(line, 4);
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    if (listening < 0 || getsockname(listening, (struct sockaddr *) &at, &size)) return 1;
    printf("ready %d\n", ntohs(at.sin_port));
    fflush(stdout);
    while (!over(listening)) {
        if (modbus_tcp_accept(line, &listening) < 0) return 1;
        serve(line, map);
        modbus_close(line);
    }
    return 0;
}
