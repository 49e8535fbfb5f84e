// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Lives for one transaction: since EIP-6780 only a contract created in the same transaction is
/// really destroyed.
contract Mayfly {
    uint256 public note;

    constructor(uint256 value) payable {
        note = value;
    }

    function perish(address payable heir) external {
        selfdestruct(heir);
    }
}

/// Makes a contract, which holds storage and ether, and has it destroyed at once.
contract Cradle {
    uint256 public count;

    event Perished(address indexed mayfly, address indexed heir);

    function hatch(address payable heir) external payable {
        uint256 number = ++count;
        Mayfly mayfly = new Mayfly{value: msg.value, salt: bytes32(number)}(number);
        mayfly.perish(heir);
        emit Perished(address(mayfly), heir);
    }
}
