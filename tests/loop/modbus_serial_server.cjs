// A Modbus server made of modbus-serial. Says "ready PORT" once it listens; ends when its input ends.
const { ServerTCP } = require("modbus-serial");

const SIZE = 2000;
const words = new Array(SIZE).fill(0);
const bits = new Array(SIZE).fill(false);

function within(address, value) {
    if (address >= SIZE) throw { modbusErrorCode: 2 };
    return value;
}

const device = {
    getHoldingRegister: (address) => within(address, words[address]),
    getInputRegister: (address) => within(address, (address * 31) & 0xffff),
    getCoil: (address) => within(address, bits[address]),
    getDiscreteInput: (address) => within(address, address % 3 === 0),
    setRegisterArray: (address, values) => {
        within(address + values.length - 1);
        values.forEach((value, k) => { words[address + k] = value; });
    },
    setRegister: (address, value) => { within(address); words[address] = value; },
    setCoil: (address, value) => { within(address); bits[address] = value; },
};

const server = new ServerTCP(device, { host: "127.0.0.1", port: 0, unitID: 3 });
server.on("initialized", () => console.log(`ready ${server._server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
